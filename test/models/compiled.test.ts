import { createEngine } from "../../engine/engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { discriminatorLoss, mixAndMatch, r1Penalty } from "../../models/losses/adversarial.ts";
import { tensors } from "../../models/diffusion/arithmetic.ts";
import { applyNetwork, conditionInputs, type DenoiserSpec, embedConditions, initDenoiser } from "../../models/denoiser.ts";
import { denoise } from "../../models/diffusion/denoise.ts";
import { applyDiscriminator, type DiscriminatorConfig, initDiscriminator } from "../../models/critics/discriminator.ts";
import { guidedNetwork } from "../../models/diffusion/guidance.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { solverGrid } from "../../models/diffusion/schedule.ts";
import { coefficientCount, readCoefficients, stepCoefficients } from "../../models/diffusion/coefficients.ts";
import { advance } from "../../models/diffusion/machine.ts";
import { solverPlan } from "../../models/diffusion/solvers.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";
import { perturbed } from "./parameters.ts";

const test = suite("compiled networks");

function specification(kind: "dit" | "unet", condition: "class" | "caption"): DenoiserSpec {
  const network = { kind, condition, width: 8, depth: kind === "dit" ? 2 : 1, heads: 2, multipliers: [1, 2] };
  const settings = settingsSchema.parse({ network: { ...network, captionTokens: 5, textDepth: 1 } });
  const classes = condition === "class" ? ["a", "b", "c"] : [];
  return { ...settings, shape: [8, 8, 2], classes, vocabulary: condition === "caption" ? 40 : 0 };
}

const latents = (stream: string, batch: number) => normals({ seed: 3, stream, length: batch * 128 });
const tokens = Int32Array.of(20, 21, 22, 1, 0, 30, 1, 0, 0, 0);
const conditions = { label: Int32Array.of(2, 0), tokens, keep: Float32Array.of(1, 1) };

for (const [kind, condition] of [
  ["dit", "caption"],
  ["unet", "class"],
] as const) {
  const spec = specification(kind, condition);
  const weights = perturbed(initDenoiser(spec, 1), 0.05);

  test(`${kind}: a discriminator step with mismatched fakes and R1 compiles to what runs eagerly`, async () => {
    const config: DiscriminatorConfig = { spec, depth: 2, scales: [1, 2] };
    const initial = perturbed(initDiscriminator({ config, teacherWeights: weights, seed: 2 }), 0.05);
    const shape = [2, 8, 8, 2];
    const results = [];
    for (const device of ["eager", "cpu"] as const) {
      const engine = await createEngine({ device, threads: 1 });
      const variables = engine.variables("discriminator", initial);
      const names = Object.keys(initial);
      const program = await engine.compile({
        name: "discriminator",
        sets: { variables },
        inputs: { x: { shape }, g: { shape }, z: { shape }, mask: { shape: [2] }, ...conditionInputs(spec, 2) },
        run: (sets, { x, g, z, mask, ...given }) => {
          const loss = (...values: Tensor[]) => {
            const parameters = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
            const condition = embedConditions(spec, parameters, given);
            const score = (sample: Tensor) => applyDiscriminator(config, parameters, { x: sample, z: z!, condition });
            const one = (t: Tensor) => tf.slice(t, 0, 1);
            const alone = (sample: Tensor) =>
              applyDiscriminator(config, parameters, { x: sample, z: one(z!), condition: { vector: one(condition.vector!) } });
            const fake = mixAndMatch({ generated: g!, real: x!, mask: mask! });
            const game = discriminatorLoss({ real: score(x!), fake: score(fake) });
            return tf.add(game, tf.mul(r1Penalty({ discriminate: alone, x: one(x!) }), 0.1));
          };
          const values = names.map((name) => sets.variables[name]!);
          const { value, grads } = tf.valueAndGrads(loss as never)(values);
          const updates = names.map((name, i) => [name, tf.sub(values[i]!, tf.mul(grads[i]!, 0.1))]);
          return { outputs: { loss: value }, updates: { variables: Object.fromEntries(updates) } };
        },
      });
      const inputs = { x: latents("x", 2), g: latents("g", 2), z: latents("z", 2), mask: Float32Array.of(0, 1) };
      const { loss } = await program.run({ ...inputs, ...conditions });
      results.push({ loss: loss![0]!, weights: await variables.read() });
      await engine.dispose();
    }
    const [eager, compiled] = results as [(typeof results)[0], (typeof results)[0]];
    assert.close(compiled.loss, eager.loss, 1e-5);
    for (const name of Object.keys(initial)) {
      assert.close(compiled.weights[name]!.data, eager.weights[name]!.data, 2e-5, name);
    }
  });

  test(`${kind}: one compiled guided step, run by its coefficients, walks a whole trajectory`, async () => {
    const parameterisation = createParameterisation(spec.diffusion);
    const plan = solverPlan({ solver: "heun", sigmas: solverGrid({ solver: "heun", parameterisation, steps: 4 }) });
    const shape = [2, 8, 8, 2];
    const ends: Float32Array[] = [];
    for (const device of ["eager", "cpu"] as const) {
      const engine = await createEngine({ device, threads: 1 });
      const declared = conditionInputs(spec, 4);
      const program = await engine.compile({
        name: "step",
        sets: { teacher: engine.constants("teacher", weights) },
        inputs: { x: { shape }, memory: { shape }, coefficients: { shape: [coefficientCount(1)] }, ...declared },
        run: ({ teacher }, { x, memory, coefficients, ...given }) => {
          const stage = readCoefficients(coefficients!);
          const network = guidedNetwork({
            scale: 2,
            network: ({ keep, ...rest }) =>
              applyNetwork(spec, teacher, { ...rest, condition: embedConditions(spec, teacher, { ...given, keep }) }),
          });
          const denoised = denoise({ x: x!, coefficients: stage, network });
          const next = advance({ stage, x: x!, memories: [memory!], denoised }, tensors);
          return { outputs: { x: next.x, memory: next.memories[0] as Tensor } };
        },
      });
      const twice = (a: Int32Array) => Int32Array.from([...a, ...a]);
      const given = { label: twice(conditions.label), tokens: twice(tokens), keep: new Float32Array(4) };
      let x = latents("noise", 2).map((value) => value * parameterisation.sigmaMax);
      let memory: Float32Array = x;
      for (const coefficients of stepCoefficients({ plan, parameterisation })) {
        const out = await program.run({ x, memory, coefficients, ...given });
        [x, memory] = [Float32Array.from(out.x!), Float32Array.from(out.memory!)];
      }
      ends.push(x);
      await engine.dispose();
    }
    assert.ok(ends[0]!.every(Number.isFinite));
    assert.close(ends[1]!, ends[0]!, 1e-4);
  });
}

test.run();
