/** A step in micro-batches: one program adds up gradients, another applies them. */
import type { InputArray, ProgramSpec, Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { VariableSet } from "../../engine/variables.ts";
import { zerosLike } from "../../engine/weights.ts";
import { healthAfter } from "./health.ts";
import { LEFT, ownSets, prefixed, type Step, type StepOptions, scalars } from "./plan.ts";
import type { SharedSum } from "./shared-sum.ts";
import { gradientsOf, UPDATE_INPUTS, updatesOf } from "./update.ts";

/** See `compileStep`, which calls this where `accumulate` is above 1. Throws an Error where it does not divide `batch`. */
export async function compileAccumulation(options: StepOptions & { batch: number; accumulate: number }): Promise<Step> {
  const { engine, name, trained, others = {}, loss, optimiser, batch, accumulate, checkpointing = false } = options;
  const { leaves = {}, takes = {}, together, health } = options;
  const counted = health && { health };
  if (batch % accumulate !== 0) {
    throw new Error(
      `Cannot take a batch of ${batch} in ${accumulate} micro-batches in program "${name}": set accumulate to a divisor of batch`,
    );
  }
  const part = batch / accumulate;
  const own = ownParts(accumulate, together);
  const isDivided = ({ shape }: { shape: readonly number[] }): boolean => shape[0] === batch;
  const micro = Object.entries(options.inputs).map(([input, declared]) => {
    const [, ...row] = declared.shape;
    return [input, isDivided(declared) ? { ...declared, shape: [part, ...row] } : declared];
  });
  const sum = engine.variables(`${name}.gradients`, zerosLike(await trained.network.read()));
  const adding = await engine.compile({
    name: `${name}: micro-batch`,
    sets: {
      ...others,
      network: trained.network,
      ...(trained.scaler && { scaler: trained.scaler }),
      ...counted,
      sum,
      ...prefixed("left.", leaves),
      ...prefixed("taken.", takes),
    },
    inputs: { ...(Object.fromEntries(micro) as ProgramSpec["inputs"]), isFirst: { shape: [] } },
    checkpointing,
    run: ({ sum: before, ...sets }, { isFirst, ...inputs }) => {
      const held = (key: string): Tensor => (sets as Record<string, Tensors>)[key]?.[LEFT] as Tensor;
      const taken = Object.keys(takes).map((key) => [key, tf.slice(held(`taken.${key}`), [0], [part])] as const);
      const { gradients, ...result } = gradientsOf(loss, ownSets(sets), { ...(inputs as Tensors), ...Object.fromEntries(taken) });
      const starts = tf.greater(isFirst as Tensor, 0);
      const after = Object.entries(gradients).map(([key, gradient]) => {
        const old = (before as Tensors)[key] as Tensor;
        // Chosen, not multiplied: what an earlier step left may be infinite.
        return [key, tf.add(tf.where(starts, tf.zerosLike(old), old), tf.div(gradient, accumulate))];
      });
      // A left tensor is a queue of rows: each micro-batch puts its own at the end, and each reader passes the first ones on.
      const queued = (key: string, rows: Tensor): Record<string, Tensor> => {
        if (own.length === 1) return { [LEFT]: rows };
        const rest = tf.slice(held(key), [part], [(own.length - 1) * part]);
        return { [LEFT]: tf.concat([rest, rows]) };
      };
      const left = Object.keys(leaves).map((key) => [`left.${key}`, queued(`left.${key}`, result.left[key] as Tensor)]);
      const passed = taken.map(([key, rows]) => [`taken.${key}`, queued(`taken.${key}`, rows)]);
      const outputs = { loss: result.loss, ...result.metrics };
      return {
        outputs,
        updates: { sum: Object.fromEntries(after), ...healthAfter(sets as never, outputs), ...Object.fromEntries([...left, ...passed]) },
      };
    },
  });
  const updating = await engine.compile({
    name: `${name}: update`,
    sets: { ...trained, ...counted, sum },
    inputs: UPDATE_INPUTS,
    run: ({ sum: gradients, ...sets }, inputs) => {
      const { norm, updates } = updatesOf(sets as never, inputs, gradients as Tensors, optimiser, options.targetDecay);
      return { outputs: { norm }, updates: { ...updates, ...healthAfter(sets as never, { norm }) } };
    },
  });
  return async (inputs, { outputs } = {}) => {
    const results: Outputs[] = [];
    const ofUpdate = outputs?.filter((output) => output === "norm");
    const ofParts = outputs?.filter((output) => output !== "norm");
    for (const index of own) {
      const feeds = Object.entries(options.inputs).map(([input, declared]) => {
        const given = inputs[input] as InputArray;
        const size = given?.length / accumulate;
        return [input, isDivided(declared) ? given?.subarray(index * size, (index + 1) * size) : given];
      });
      const isFirst = Float32Array.of(together || index === 0 ? 1 : 0); // the others' are added where workers meet
      const result = await adding.run({ ...Object.fromEntries(feeds), isFirst }, { outputs: ofParts });
      results.push(result);
      await together?.add(index, await sum.read(), Object.values(scalars(result)));
    }
    const all = together ? await takenSum(together, sum, Object.keys(scalars(results[0] as Outputs))) : results;
    const rates = Object.fromEntries(Object.keys(UPDATE_INPUTS).map((input) => [input, inputs[input] as InputArray]));
    return { ...joined(all), ...(await updating.run(rates, { outputs: ofUpdate })) };
  };
}

type Outputs = Record<string, InputArray>;

/** The micro-batches that are this worker's: all, or every so manieth. */
function ownParts(accumulate: number, { worker, workers }: Pick<SharedSum, "worker" | "workers"> = { worker: 0, workers: 1 }): number[] {
  const all = Array.from({ length: accumulate }, (_, index) => index);
  return all.filter((index) => index % workers === worker);
}

/** Puts the sum of all workers' gradients in the place of its own, and answers the scalars of every micro-batch. */
async function takenSum(together: SharedSum, sum: VariableSet, names: readonly string[]): Promise<Outputs[]> {
  const all = await together.take(sum.variables, names.length, sum.load);
  return all.map((values) => Object.fromEntries(names.map((name, i) => [name, values.slice(i, i + 1)])));
}

/** Outputs of micro-batches as those of the batch: the mean of scalars, the rows of others one after the other. */
function joined(results: Outputs[]): Outputs {
  const [first = {}] = results;
  return Object.fromEntries(
    Object.keys(first).map((name) => {
      const parts = results.map((result) => result[name] as Float32Array);
      const { length } = parts[0] as Float32Array;
      if (length === 1) return [name, Float32Array.of(parts.reduce((total, part) => total + (part[0] as number), 0) / parts.length)];
      const whole = new Float32Array(length * parts.length);
      parts.forEach((part, i) => whole.set(part, i * length));
      return [name, whole];
    }),
  );
}
