/** Layton's decoder: the branch starts without a voice, and learns to draw what codes stand for. */
import "../../engine/gradients.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { Job, Subject } from "../../methods/method.ts";
import { methodNamed, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { applyNetwork, type DenoiserSpec, initDenoiser, withControl } from "../../models/denoiser.ts";
import { initImageTokenizer } from "../../models/tokens/image-tokenizer.ts";
import { presetNamed } from "../../recipes/recipe.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { create as createTokenizer } from "../../stages/workers/tokenizer.ts";
import { create } from "../../stages/workers/trainer.ts";
import { assert, suite } from "../harness.ts";
import { noise, perturbed, toParameters } from "../models/parameters.ts";

const test = suite("Layton");

const SHAPE: [number, number, number] = [8, 8, 2];
const tokenizer = { shape: SHAPE, codes: 32, dimension: 4, downsample: 4 as const, width: 16, sigmaData: 0.5 };

function specOf(kind: "dit" | "unet", control = true): DenoiserSpec {
  const small = { kind, condition: "none", width: 16, depth: kind === "dit" ? 2 : 1, heads: 2, multipliers: [1, 2] };
  const { network, diffusion } = settingsSchema.parse({ network: small });
  const map = { height: 2, width: 2, dimension: 4 };
  return { shape: SHAPE, network: { ...network, ...(control && { control: map }) }, diffusion, classes: [], vocabulary: 0 };
}

for (const kind of ["dit", "unet"] as const) {
  test(`${kind}: a network under control starts as the one without, whatever the codes, and then listens to them`, () => {
    const plain = specOf(kind, false);
    const base = perturbed(initDenoiser(plain, 1), 0.1);
    const spec = specOf(kind);
    const weights = withControl(spec, base, 2);
    const at = { x: noise("x", [2, ...SHAPE]), noiseLevel: tf.tensor1d([-0.6, 0.4]) };
    const draw = (of: typeof weights, codes: Tensor) =>
      applyNetwork(spec, toParameters(of), { ...at, condition: { map: codes } }).dataSync();
    const codes = noise("codes", [2, 2, 2, 4]);
    assert.equal(draw(weights, codes), applyNetwork(plain, toParameters(base), at).dataSync());
    const moved = perturbed(weights, 0.1);
    const [one, other] = [draw(moved, codes), draw(moved, noise("others", [2, 2, 2, 4]))];
    assert.ok(one.some((value, i) => value !== other[i]));
  });
}

test(
  "images of two kinds with codes of their own are drawn as the mean of their kind, in one call",
  async () => {
    const spec = specOf("dit", false);
    const smoke = presetNamed("smoke").settings as { train: object };
    const own = { phase: "pixel", calls: 1, featureWeight: 0, latentWeight: 1 };
    const optimiser = { steps: 300, batch: 8, learningRate: 1e-2, decay: 0.5, warmup: 10, ema: 0.9, accumulate: 1 };
    const settings = settingsSchema.parse({ ...smoke, train: { ...smoke.train, ...optimiser, method: "layton", layton: own } });
    const method = methodNamed("layton");
    const subject: Subject = { spec, imageTokenizer: tokenizer };
    const student = method.student?.(ownSettings(method, settings.train), spec, subject) as DenoiserSpec;
    const codes = initImageTokenizer(tokenizer, 3);
    const job: Job<never> = {
      settings: ownSettings(method, settings.train),
      optimiser: optimiserOf(settings.train),
      seed: 1,
      subject: { ...subject, student },
    };
    const engine = { device: "cpu", precision: "single", threads: 1 } as const;
    const trainer = await create({ method: "layton", job, weights: { teacher: numbTeacher(spec), tokenizer: codes }, engine });

    const size = SHAPE[0] * SHAPE[1] * SHAPE[2];
    const kinds = [0, 1].map((kind) => normals({ seed: 5, stream: `kind/${kind}`, length: size }).map((n) => 0.5 * n));
    /** Rows of the two kinds in turn, each with a little noise of its own. */
    const rows = (step: number, count: number): Float32Array => {
      const own = normals({ seed: 6, stream: "rows", offset: step * count * size, length: count * size });
      return own.map((n, i) => kinds[Math.floor(i / size) % 2]![i % size]! + 0.02 * n);
    };
    for (let step = 0; step < optimiser.steps; step++) await trainer.step({ step, latent: rows(step, 8), conditions: {} });

    const worker = await createTokenizer({ config: tokenizer, weights: codes, batch: 16, engine });
    const shown = await worker.codes(await worker.tokens(rows(1000, 16)));
    const started = normals({ seed: 7, stream: "start", length: 16 * size });
    const drawn = await trainer.sample({
      inputs: { noise: started, rows: 16, conditions: { codes: shown, keep: new Float32Array(16) } },
      of: "average",
    });
    /** How far rows are from the kinds, in turn, of which the first is `first`. */
    const off = (first: number): number =>
      Math.sqrt(
        drawn.reduce((sum, value, i) => sum + (value - kinds[(Math.floor(i / size) + first) % 2]![i % size]!) ** 2, 0) / drawn.length,
      );
    const apart = Math.sqrt(kinds[0]!.reduce((sum, value, i) => sum + (value - kinds[1]![i]!) ** 2, 0) / size);
    // The same picture for both kinds, the best that can be drawn without their codes, is half their distance off.
    assert.ok(
      off(0) < 0.25 * apart,
      `what was drawn is ${off(0).toFixed(3)} off the mean of its kind, and kinds are ${apart.toFixed(3)} apart`,
    );
    assert.ok(off(1) > 0.8 * apart, "and it is the other kind that codes do not speak of");
  },
  { seconds: 120 },
);

/** A teacher with an output of its own that hears little of its input: what it makes of pure noise is not to drown the branch. */
function numbTeacher(spec: DenoiserSpec): ReturnType<typeof initDenoiser> {
  const weights = perturbed(initDenoiser(spec, 4), 0.3); // as it begins its last layer is silent, and would stay so
  const { data } = weights["patch.kernel"] as { data: Float32Array };
  for (let i = 0; i < data.length; i++) data[i]! *= 0.02;
  return weights;
}

test.run();
