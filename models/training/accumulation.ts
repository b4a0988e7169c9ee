/** A step in micro-batches: one program adds up gradients, another applies them. */
import type { InputArray, ProgramSpec, Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { zerosLike } from "../../engine/weights.ts";
import { LEFT, ownSets, prefixed, type Step, type StepOptions } from "./plan.ts";
import { gradientsOf, UPDATE_INPUTS, updatesOf } from "./update.ts";

/** See `compileStep`, which calls this where `accumulate` is above 1. Throws an Error where it does not divide `batch`. */
export async function compileAccumulation(options: StepOptions & { batch: number; accumulate: number }): Promise<Step> {
  const { engine, name, trained, others = {}, loss, optimiser, batch, accumulate, checkpointing = false } = options;
  const { leaves = {}, takes = {} } = options;
  if (batch % accumulate !== 0) {
    throw new Error(
      `Cannot take a batch of ${batch} in ${accumulate} micro-batches in program "${name}": set accumulate to a divisor of batch`,
    );
  }
  const part = batch / accumulate;
  const isDivided = ({ shape }: { shape: readonly number[] }): boolean => shape[0] === batch;
  const micro = Object.entries(options.inputs).map(([input, declared]) => {
    const [, ...row] = declared.shape;
    return [input, isDivided(declared) ? { ...declared, shape: [part, ...row] } : declared];
  });
  const sum = engine.variables(`${name}.gradients`, zerosLike(await trained.network.read()));
  const adding = await engine.compile({
    name: `${name}: micro-batch`,
    sets: {
      ...{ ...others, network: trained.network, ...(trained.scaler && { scaler: trained.scaler }), sum },
      ...{ ...prefixed("left.", leaves), ...prefixed("taken.", takes) },
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
        const rest = tf.slice(held(key), [part], [batch - part]);
        return { [LEFT]: tf.concat([rest, rows]) };
      };
      const left = Object.keys(leaves).map((key) => [`left.${key}`, queued(`left.${key}`, result.left[key] as Tensor)]);
      const passed = taken.map(([key, rows]) => [`taken.${key}`, queued(`taken.${key}`, rows)]);
      return {
        outputs: { loss: result.loss, ...result.metrics },
        updates: { sum: Object.fromEntries(after), ...Object.fromEntries([...left, ...passed]) },
      };
    },
  });
  const updating = await engine.compile({
    name: `${name}: update`,
    sets: { ...trained, sum },
    inputs: UPDATE_INPUTS,
    run: ({ sum: gradients, ...sets }, inputs) => {
      const { norm, updates } = updatesOf(sets as never, inputs, gradients as Tensors, optimiser, options.targetDecay);
      return { outputs: { norm }, updates };
    },
  });
  return async (inputs, { outputs } = {}) => {
    const results: Record<string, InputArray>[] = [];
    const ofUpdate = outputs?.filter((output) => output === "norm");
    const ofParts = outputs?.filter((output) => output !== "norm");
    for (let index = 0; index < accumulate; index++) {
      const feeds = Object.entries(options.inputs).map(([input, declared]) => {
        const given = inputs[input] as InputArray;
        const size = given?.length / accumulate;
        return [input, isDivided(declared) ? given?.subarray(index * size, (index + 1) * size) : given];
      });
      results.push(await adding.run({ ...Object.fromEntries(feeds), isFirst: Float32Array.of(index === 0 ? 1 : 0) }, { outputs: ofParts }));
    }
    const rates = Object.fromEntries(Object.keys(UPDATE_INPUTS).map((input) => [input, inputs[input] as InputArray]));
    return { ...joined(results), ...(await updating.run(rates, { outputs: ofUpdate })) };
  };
}

/** Outputs of micro-batches as those of the batch: the mean of scalars, the rows of others one after the other. */
function joined(results: Record<string, InputArray>[]): Record<string, InputArray> {
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
