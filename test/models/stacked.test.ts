/** Two networks in series: their composition in closed form, and that everything else of a family holds of both. */
import "../../engine/gradients.ts";
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { applyNetwork, denoiserLayout, type DenoiserSpec, initDenoiser, parameterGroups, stackedWeights } from "../../models/denoiser.ts";
import { numbers, tensors } from "../../models/diffusion/arithmetic.ts";
import { denoiserOf } from "../../models/diffusion/levels.ts";
import { createParameterisation } from "../../models/diffusion/parameterisation.ts";
import { SIGNAL_FREE } from "../../models/diffusion/signal-free.ts";
import { familyOf, trunkLimits } from "../../models/families/registry.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "./parameters.ts";

const test = suite("two networks in series");

function specOf(diffusion: object, network: object = {}): DenoiserSpec {
  const settings = settingsSchema.parse({ diffusion, network: { width: 8, depth: 1, heads: 1, patch: 2, condition: "none", ...network } });
  return { network: settings.network, diffusion: settings.diffusion, shape: [4, 4, 1], classes: ["a", "b"], vocabulary: 0 };
}
const stack = (spec: DenoiserSpec): DenoiserSpec => ({ ...spec, network: { ...spec.network, stack: 2 } });

const parameterisations = [
  { parameterisation: "edm" },
  { parameterisation: "flow" },
  { parameterisation: "vp-epsilon" },
  { parameterisation: "vp-v" },
  { parameterisation: "vp-v-zero", sigmaMax: SIGNAL_FREE },
] as const;

/** D of a network that answers the number f, by the papers' formulas (sigmaData 0.5). */
const clean: Record<string, (x: number, sigma: number, f: number) => number> = {
  edm: (x, s, f) => (0.25 / (s * s + 0.25)) * x + ((s * 0.5) / Math.sqrt(s * s + 0.25)) * f,
  flow: (x, s, f) => x / (1 + s) - (s / (1 + s)) * f, // z - t v
  "vp-epsilon": (x, s, f) => x - s * f,
  "vp-v": (x, s, f) => x / (1 + s * s) - (s / Math.sqrt(1 + s * s)) * f, // alpha z - sigma v
};
clean["vp-v-zero"] = clean["vp-v"]!;

test.before(async () => {
  await tf.setBackend("cpu");
});

test("noise levels are read off what the network is told of them", () => {
  for (const diffusion of parameterisations) {
    const { precondition, sigmaOf, sigmaMax } = createParameterisation(specOf(diffusion).diffusion);
    for (const sigma of [0.002, 0.05, 0.7, 3, 14]) {
      const { cNoise } = precondition(sigma, numbers);
      assert.close(sigmaOf(cNoise, numbers) / sigma, 1, 1e-8, diffusion.parameterisation);
      assert.close(sigmaOf(tf.tensor1d([cNoise]), tensors).dataSync()[0]! / sigma, 1, 1e-3, diffusion.parameterisation);
    }
    const last = sigmaOf(tf.tensor1d([precondition(sigmaMax, numbers).cNoise]), tensors).dataSync()[0]!;
    assert.ok(sigmaMax === SIGNAL_FREE ? last > 1e6 : Math.abs(last / sigmaMax - 1) < 1e-4, `${diffusion.parameterisation} ${last}`);
  }
});

test("the second reads the first one's clean prediction under little noise, in every parameterisation and at any level", () => {
  for (const diffusion of parameterisations) {
    const spec = stack(specOf(diffusion));
    const weights = initDenoiser(spec, 1); // a fresh network answers its last bias
    const [f1, f2] = [0.3, -0.7];
    weights["first.final.out.bias"]!.data.fill(f1);
    weights["second.final.out.bias"]!.data.fill(f2);
    const { sigmaMax } = createParameterisation(spec.diffusion);
    const denoise = denoiserOf({ spec, parameters: toParameters(weights), given: {} });
    const of = clean[diffusion.parameterisation]!;
    for (const sigma of [0.05, 1, sigmaMax]) {
      const epsilon = noise("x", [2, 4, 4, 1]);
      const x = tf.mul(epsilon, sigma) as Tensor;
      const found = denoise(x, tf.tensor1d([sigma, sigma]));
      const expected = Array.from(x.dataSync(), (value) => of(of(value, sigma, f1), Math.min(sigma, 0.125), f2));
      const size = Math.max(1, ...expected.map(Math.abs));
      assert.close(found.dataSync(), expected, 3e-4 * size, `${diffusion.parameterisation} at ${sigma}`);
    }
  }
});

test("a stack that begins as a teacher does its work twice; conditions are embedded once, and what names the parts names both", () => {
  for (const kind of ["dit", "unet"] as const) {
    const spec = specOf({}, { kind, condition: "class", multipliers: [1, 2], attentionLevels: [1] });
    const teacher = perturbed(initDenoiser(spec, 1), 0.05);
    const weights = stackedWeights(spec, teacher);
    const layout = denoiserLayout(stack(spec))!;
    assert.equal(Object.keys(weights).sort(), Object.keys(layout).sort());
    const shared = Object.keys(weights).filter((name) => !/^(first|second)\./.test(name));
    assert.equal(shared, ["classes"]);
    assert.is.not(weights["first.noise.in.kernel"]!.data, weights["second.noise.in.kernel"]!.data);

    const given = { label: tf.tensor1d([0, 1], "int32"), keep: tf.ones([2]) };
    const x = noise("x", [2, 4, 4, 1]).mul(80) as Tensor;
    const of = (which: DenoiserSpec, parameters: typeof weights) =>
      denoiserOf({ spec: which, parameters: toParameters(parameters), given });
    const once = of(spec, teacher);
    const expected = once(once(x, tf.tensor1d([80, 80])), tf.tensor1d([0.125, 0.125]));
    assert.close(of(stack(spec), weights)(x, tf.tensor1d([80, 80])).dataSync(), expected.dataSync(), 1e-4);

    const groups = parameterGroups(stack(spec));
    for (const [name, pattern] of Object.entries(parameterGroups(spec))) {
      const single = Object.keys(teacher).filter((each) => pattern.test(each));
      const both = Object.keys(weights).filter((each) => groups[name]!.test(each));
      assert.is(both.length, single.length * (name === "classes" ? 1 : 2), name);
    }
    assert.equal(
      Object.keys(weights).filter((each) => groups.second!.test(each)).length,
      Object.keys(weights).filter((each) => groups.first!.test(each)).length,
    );
    assert.is(trunkLimits({ network: stack(spec).network }), undefined);
  }
});

test("places of either network are seen, changed, and where a pass ends", () => {
  const spec = specOf({});
  const parameters = toParameters(stackedWeights(spec, perturbed(initDenoiser(spec, 1), 0.05)));
  const at = { x: noise("x", [2, 4, 4, 1]), noiseLevel: tf.tensor1d([0.5, 1]) };
  const seen: Record<string, Tensor> = {};
  const whole = applyNetwork(stack(spec), parameters, at, { tap: (place, features) => (seen[place] = features) });
  assert.equal(Object.keys(seen), ["first.patches", "first.blocks.0", "second.patches", "second.blocks.0"]);
  for (const last of ["first.blocks.0", "second.blocks.0"]) {
    const features = applyNetwork(stack(spec), parameters, at, { last });
    assert.close(features.dataSync(), seen[last]!.dataSync(), 1e-5, last);
    const changed = applyNetwork(stack(spec), parameters, at, {
      inject: (place, passing) => (place === last ? passing.mul(2) : passing),
    });
    assert.ok(
      changed.dataSync().some((value, i) => value !== whole.dataSync()[i]),
      last,
    );
  }
  for (const place of familyOf(stack(spec)).features) assert.ok(place in seen, place);
});

test.run();
