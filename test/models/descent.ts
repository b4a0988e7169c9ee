/** docs/METHODS.md 1.3 in miniature: optimises a random latent towards a target under the perceptual distance alone. */
import { createEngine } from "../../engine/engine.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import { zerosLike } from "../../engine/weights.ts";
import { augmentationDraws, DRAW_SIZE } from "../../models/losses/augment.ts";
import { eLatentLpips } from "../../models/losses/elatentlpips.ts";
import { initPerceptual, perceptualConfig } from "../../models/losses/perceptual.ts";

const SHAPE = [4, 16, 16, 4];
const RATE = 0.01; // Adam, as in the reference's demonstration

/**
 * Mean squared errors of the latent after 0, `every`, 2 `every`, ... `steps` steps of Adam on an untrained network.
 * Its biases are drawn too, since a network of ReLUs without biases is blind to the scale of a latent.
 */
export async function descend(options: { groups?: string; steps: number; every: number }): Promise<number[]> {
  const { groups, steps, every } = options;
  const config = perceptualConfig({ shape: [16, 16, 4], width: 16, sigmaData: 0.5, classes: 2, words: [] });
  const weights = initPerceptual(config, 0);
  for (const [name, { data }] of Object.entries(weights)) {
    if (name.endsWith(".bias")) data.set(normals({ seed: 0, stream: name, length: data.length }).map((v) => v * 0.3));
  }
  const random = (stream: string): Float32Array => normals({ seed: 0, stream, length: 4096 }).map((v) => v / 2);
  const engine = await createEngine({ device: "cpu", threads: 1 });
  try {
    const start = { x: { shape: SHAPE, data: random("start") } };
    const latent = engine.variables("latent", start);
    const [first, second] = [engine.variables("first", zerosLike(start)), engine.variables("second", zerosLike(start))];
    const program = await engine.compile({
      name: "descend",
      sets: { latent, first, second, network: engine.constants("network", weights) },
      inputs: { target: { shape: SHAPE }, draws: { shape: [4, DRAW_SIZE] } },
      run: ({ latent, first, second, network }, { target, draws }) => {
        const distance = (x: Tensor): Tensor =>
          eLatentLpips({ config, parameters: network, a: x, b: target as Tensor, ...(groups && { draws, groups }) });
        const x = latent.x as Tensor;
        const gradient = tf.grad(distance as never)(x as never) as Tensor;
        const m = tf.add(tf.mul(first.x as Tensor, 0.9), tf.mul(gradient, 0.1));
        const v = tf.add(tf.mul(second.x as Tensor, 0.999), tf.mul(tf.square(gradient), 0.001));
        const moved = tf.sub(x, tf.mul(tf.div(m, tf.add(tf.sqrt(v), 1e-8)), RATE));
        return {
          outputs: { error: tf.mean(tf.square(tf.sub(x, target as Tensor))) },
          updates: { latent: { x: moved }, first: { x: m }, second: { x: v } },
        };
      },
    });
    const target = random("target");
    const errors: number[] = [];
    for (let step = 0; step <= steps; step++) {
      const draws = augmentationDraws({ seed: 0, step, batch: 4, height: 16, width: 16, groups: groups ?? "" });
      const { error } = await program.run({ target, draws });
      if (step % every === 0) errors.push((error as Float32Array)[0] as number);
    }
    return errors;
  } finally {
    await engine.dispose();
  }
}
