/** Consistency functions at their boundaries and against the published coefficients; distances against their definitions. */
import { tf } from "../../engine/tfjs.ts";
import { type DenoiserSpec, initDenoiser } from "../../models/denoiser.ts";
import { numbers } from "../../models/diffusion/arithmetic.ts";
import { boundaries, consistencyOf, huberScale, snrWeight } from "../../models/diffusion/consistency.ts";
import { denoiserOf } from "../../models/diffusion/levels.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { vpSigma } from "../../models/diffusion/vp-schedule.ts";
import { pseudoHubers, squaredErrors } from "../../models/losses/difference.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("consistency functions");

const levels = { sigmaData: 0.5, sigmaMin: 0.002 };
const parameterisations = ["edm", "flow", "vp-epsilon", "vp-v"] as const;
function specOf(parameterisation: (typeof parameterisations)[number]): DenoiserSpec {
  const settings = settingsSchema.parse({
    network: { width: 8, depth: 1, heads: 1, patch: 2, condition: "none" },
    diffusion: { parameterisation },
  });
  return { network: settings.network, diffusion: settings.diffusion, shape: [4, 4, 1], classes: [], vocabulary: 0 };
}

test("the identity holds exactly at the boundaries: sigmaMin for EDM's scalings, 0 for LCM's", () => {
  assert.equal(boundaries.edm(0.002, levels, numbers), { skip: 1, out: 0 });
  assert.equal(boundaries.lcm(0, levels, numbers), { skip: 1, out: 0 });
});

test("in every parameterisation f at sigmaMin is its input to the bit, whatever the network", async () => {
  await tf.setBackend("cpu");
  for (const name of parameterisations) {
    const spec = specOf(name);
    const denoise = denoiserOf({ spec, parameters: toParameters(perturbed(initDenoiser(spec, 1))), given: {} });
    const x = noise("x", [2, 4, 4, 1]);
    const f = consistencyOf({ denoise, boundary: "edm", diffusion: spec.diffusion });
    assert.equal([...f(x, tf.fill([2], spec.diffusion.sigmaMin)).dataSync()], [...x.dataSync()], name);
    const none = consistencyOf({ denoise, boundary: "none", diffusion: spec.diffusion });
    assert.is(none, denoise);
  }
});

test("around an EDM network f is Song et al.'s c_skip x + c_out F", async () => {
  await tf.setBackend("cpu");
  const spec = specOf("edm");
  const denoise = denoiserOf({ spec, parameters: toParameters(perturbed(initDenoiser(spec, 1))), given: {} });
  const x = noise("x", [3, 4, 4, 1]);
  const sigmas = [0.01, 0.7, 40];
  const clean = denoise(x, tf.tensor(sigmas)).dataSync();
  const got = consistencyOf({ denoise, boundary: "edm", diffusion: spec.diffusion })(x, tf.tensor(sigmas)).dataSync();
  const [sd, e] = [0.5, 0.002];
  for (let i = 0; i < 48; i++) {
    const [s, state] = [sigmas[Math.floor(i / 16)]!, x.dataSync()[i]!];
    const network = (clean[i]! - (state * sd ** 2) / (s ** 2 + sd ** 2)) / ((s * sd) / Math.sqrt(s ** 2 + sd ** 2));
    const wanted = (state * sd ** 2) / ((s - e) ** 2 + sd ** 2) + (((s - e) * sd) / Math.sqrt(s ** 2 + sd ** 2)) * network;
    assert.close(got[i]!, wanted, 1e-5);
  }
});

test("LCM's coefficients are those of its script at Stable Diffusion's times", () => {
  for (const t of [1, 20, 259, 999]) {
    const sigma = vpSigma(t / 1000);
    const [alpha, scaled] = [1 / Math.sqrt(1 + sigma ** 2), t / 0.1];
    const { skip, out } = boundaries.lcm(sigma, levels, numbers);
    assert.close(skip, (0.25 / (scaled ** 2 + 0.25)) * alpha, 1e-10); // of x = z / alpha
    assert.close(out, scaled / Math.sqrt(scaled ** 2 + 0.25), 1e-10);
  }
});

test("the weights by signal-to-noise ratio are capped, and are those of VP coefficients", () => {
  const sigma = createParameterisation(specOf("vp-v").diffusion).sigmaAt(0.3);
  const alphaSquared = 1 / (1 + sigma ** 2);
  assert.close(snrWeight(sigma, 1e9), alphaSquared / (1 - alphaSquared), 1e-9);
  assert.is(snrWeight(0.01, 5), 5);
});

test("distances of rows against float64: squared error, and pseudo-Huber with iCT's c", async () => {
  await tf.setBackend("cpu");
  const [a, b] = [noise("a", [3, 4, 4, 1]), noise("b", [3, 4, 4, 1])];
  const differences = Array.from(a.dataSync(), (value, i) => value - b.dataSync()[i]!);
  const c = huberScale([32, 32, 3]);
  assert.close(c, 0.00054 * Math.sqrt(3072), 1e-15);
  const [squared, huber] = [squaredErrors(a, b).dataSync(), pseudoHubers(a, b, c).dataSync()];
  for (let row = 0; row < 3; row++) {
    const sum = differences.slice(16 * row, 16 * row + 16).reduce((total, value) => total + value ** 2, 0);
    assert.close(squared[row]!, sum / 16, 1e-5);
    assert.close(huber[row]!, Math.sqrt(sum + c ** 2) - c, 1e-5);
  }
  assert.equal([...pseudoHubers(a, a, c).dataSync()], [0, 0, 0]);
});

test.run();
