// A method of one's own: one step from noise to the teacher's result, by the pseudo-Huber distance.
import { conditionInputs, type DenoiserSpec, generate, type Method, pseudoHuber, type Tensor, weight, z } from "onestep/methods";

const settings = z.strictObject({
  distanceWeight: weight.default(1), // train.huber.distanceWeight
});

export const method: Method<z.infer<typeof settings>> = {
  name: "huber",
  about: "pseudo-Huber distance between one step and the teacher's result",
  source: "Song & Dhariwal, Improved Techniques for Training Consistency Models, 2023",
  makes: "student",
  settings,
  needs: () => ({ rows: "triples", frozen: ["teacher"] }),
  parts: ({ optimiser }) => ({ student: { from: "teacher", train: "all", average: optimiser.ema } }),
  programs: ({ subject, optimiser: { batch }, settings: { distanceWeight } }) => {
    const spec = subject.spec as DenoiserSpec;
    const image = { shape: [batch, ...spec.shape] };
    return {
      step: {
        trains: "student",
        inputs: { noise: image, latent: image, ...conditionInputs(spec, batch) },
        loss: (parameters, inputs) => {
          const { noise, latent, ...given } = inputs as Record<"noise" | "latent", Tensor>;
          const distance = pseudoHuber(generate(spec, parameters, noise, given), latent);
          return { loss: distance.mul(distanceWeight), metrics: { distance } };
        },
      },
    };
  },
  step: ({ noise, latent, conditions }, { optimiser: { batch } }, run) =>
    run("step", { noise: noise as Float32Array, latent: latent as Float32Array, ...conditions, keep: new Float32Array(batch).fill(1) }),
  sampler: (_, { spec }) => ({ times: [(spec as DenoiserSpec).diffusion.sigmaMax], between: "ode", guidance: 1 }),
  figures: [{ title: "Distance of latents", label: "pseudo-Huber", figures: { distance: "distance" }, log: true }],
};
