/**
 * Gradients of each family's network by its parameters, on the tiny pipelines with latents of a few pixels: against differences in double
 * precision, along ten elements at once that are drawn from each group, and that every parameter has one.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { createEngine } from "../../engine/engine.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { elements } from "../../engine/weights.ts";
import { familyOf } from "../../models/families/registry.ts";
import { lossAndGradients } from "../../models/training/optimiser.ts";
import { normals, uniforms } from "../../schemas/numbers/philox.ts";
import { assert, suite } from "../harness.ts";
import { arePipelines, bagOf, goldenDenoiser, inputsOf } from "./denoisers.ts";
import type { SlopesRequest } from "./slopes.ts";

const test = suite("published gradients");

/** Latents of a few pixels, a text of a few tokens, and a time at which features of times are exact in either precision. */
const sizes: Record<string, { side: [number, number]; time: number }> = {
  ddpm: { side: [4, 4], time: 3 },
  dit: { side: [4, 6], time: 3 },
  edm: { side: [8, 8], time: 0.3 },
  flux: { side: [4, 6], time: 0.01 },
  pixart: { side: [4, 6], time: 3 },
  sd15: { side: [8, 16], time: 3 },
  sd3: { side: [4, 6], time: 0.01 },
  sdxl: { side: [8, 8], time: 3 },
};
const TOKENS = 6;
const ELEMENTS = 10;

/**
 * Parameters without an effect: biases of keys, which all scores share, and what SD3's last block's text asks, as golden.json says
 * (`inert`); and EDM's for classes and augmentation, of which there are none here.
 */
const inert = /\.to_k\.bias$|^model\.map_(augment|label)\.kernel$|^transformer_blocks\.2\.attn\.(add_q_proj|norm_added_q)\./;

/** The golden inputs with other sizes and numbers. */
function smallInputs(inputs: Awaited<ReturnType<typeof goldenDenoiser>>["inputs"], { side, time }: (typeof sizes)[string]) {
  const shapes: Record<string, (width: number) => number[]> = {
    x: (channels) => [1, ...side, channels],
    tokens: (width) => [1, TOKENS, width],
    mask: () => [1, TOKENS],
    vector: (width) => [1, width],
  };
  const entries = Object.entries(inputs).map(([name, { shape, isWhole = false }]) => {
    const own = shapes[name]?.(shape.at(-1) as number) ?? [1];
    const data = normals({ seed: 5, stream: name, length: elements(own) });
    if (name === "noiseLevel") data.fill(time);
    if (name === "guidance") data.fill(2);
    if (name === "label") data.fill(7);
    if (name === "mask") data.fill(1).fill(0, TOKENS - 2);
    return [name, { shape: own, data, isWhole: name === "label" ? isWhole : false }] as const;
  });
  return Object.fromEntries(entries);
}

/** Elements of the parameters that `pattern` matches, drawn at random, each with a sign. */
function drawn(shapes: [name: string, size: number][], pattern: RegExp, stream: string): SlopesRequest["directions"][number] {
  const own = shapes.filter(([name]) => pattern.test(name));
  assert.ok(own.length > 0, `${stream}: no parameter is of this group`);
  const draws = uniforms({ seed: 6, stream, length: 3 * ELEMENTS });
  return Array.from({ length: ELEMENTS }, (_, i) => {
    const [which, where, sign] = draws.subarray(3 * i, 3 * i + 3) as unknown as [number, number, number];
    const [name, size] = own[Math.floor(which * own.length)]!;
    return { name, index: Math.floor(where * size), by: sign < 0.5 ? -1 : 1 };
  });
}

if (!arePipelines()) test.skip("of tiny pipelines", "there is no ../shared/pipelines");
else {
  const double = new Worker(new URL("../engine/double-worker.mjs", import.meta.url), {
    workerData: { module: new URL("./slopes.ts", import.meta.url).href, answer: "slopes" },
  });
  const slopesOf = async (request: SlopesRequest): Promise<number[]> => {
    double.postMessage(request);
    const [answer] = (await once(double, "message")) as [number[] | { error: string }];
    if (!Array.isArray(answer)) throw new Error(`in double precision: ${answer.error}`);
    return answer;
  };
  test.after(() => void double.terminate());

  for (const [name, size] of Object.entries(sizes)) {
    test(
      `${name}: along ten elements of each group, and every parameter has one`,
      async () => {
        const { weights, inputs, ...golden } = await goldenDenoiser(name);
        const small = smallInputs(inputs, size);
        const spec = { ...golden.spec, shape: small.x!.shape.slice(1) as [number, number, number] };
        const family = familyOf(spec);
        const engine = await createEngine({ device: "cpu", threads: 1 });
        const { declared, values } = inputsOf(small);
        const share = normals({ seed: 7, stream: "share", length: elements(small.x!.shape) });
        const names = Object.keys(weights);
        const program = await engine.compile({
          name,
          sets: { network: engine.constants("network", weights) },
          inputs: declared,
          run: ({ network }, tensors) => {
            const loss = (parameters: Record<string, Tensor>): Tensor =>
              tf.sum(tf.mul(family.apply(parameters, bagOf(tensors)), tf.tensor(share, small.x!.shape)));
            const { gradients } = lossAndGradients(network, (parameters) => ({ loss: loss(parameters), metrics: {} }));
            return { outputs: { all: tf.concat(names.map((of) => tf.reshape(gradients[of]!, [-1]))) } };
          },
        });
        const { all } = (await program.run(values)) as { all: Float32Array };
        const shapes = names.map((of): [string, number] => [of, elements(weights[of]!.shape)]);
        let at = 0;
        const gradients = Object.fromEntries(shapes.map(([of, length]) => [of, all.subarray(at, (at += length))]));
        const most = (of: Float32Array): number => of.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
        const least = 1e-7 * most(all);
        const without = names.filter((of) => !(most(gradients[of]!) > least));
        assert.equal(
          without.filter((of) => !inert.test(of)),
          [],
        );

        const groups = Object.entries(family.groups);
        const directions = groups.map(([group, pattern]) => drawn(shapes, pattern, `${name}/${group}`));
        const doubles = <T extends { shape: readonly number[]; data: ArrayLike<number> }>(of: Record<string, T>) =>
          Object.fromEntries(Object.entries(of).map(([key, value]) => [key, { ...value, data: Float64Array.from(value.data) }]));
        const measured = await slopesOf({
          spec,
          weights: doubles(weights),
          inputs: doubles(small),
          share: Float64Array.from(share),
          directions,
        });
        for (const [i, [group]] of groups.entries()) {
          const own = directions[i]!.map(({ name: of, index, by }) => by * (gradients[of]![index] as number));
          const largest = own.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          const found = own.reduce((a, b) => a + b, 0);
          const apart = Math.abs(found - measured[i]!) / largest;
          assert.ok(apart < 1e-4, `${group}: ${found} instead of ${measured[i]}, by ${apart} of the largest`);
        }
      },
      { seconds: 240 },
    );
  }
}

test.run();
