/** The frequency study on networks whose answers are known: the best denoiser of Gaussian data, and one made of parts for a band each. */
import { tf } from "../../engine/tfjs.ts";
import type { DenoiserSpec } from "../../models/denoiser.ts";
import { createParameterisation, noiseLevels } from "../../models/diffusion/parameterisation.ts";
import { type Family, passing } from "../../models/families/family.ts";
import { addFamily } from "../../models/families/registry.ts";
import { createInitialiser } from "../../models/initialise.ts";
import { parameter } from "../../models/layers.ts";
import { planBandPower } from "../../models/metrics/bands.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { normals } from "../../schemas/numbers/philox.ts";
import { halfLevels, measureFrequencies } from "../../stages/study/frequency/measure.ts";
import { frequencyText } from "../../stages/study/frequency/report.ts";
import { create } from "../../stages/workers/frequency.ts";
import { affine, affineWeights } from "../fixtures/affine-family.ts";
import { sigmaOf } from "../fixtures/knots.ts";
import { assert, suite } from "../harness.ts";

const test = suite("frequency study");

const SIDE = 8;
const SIZE = SIDE * SIDE;
const BANDS = 2;
const ROWS = 512;
const engine = { device: "cpu", precision: "single", threads: 1 } as const;

function specOf(kind: string, parameterisation = "edm"): DenoiserSpec {
  const settings = settingsSchema.parse({ diffusion: { parameterisation } });
  const network = { ...settings.network, kind: kind as never, condition: "none" as const };
  return { shape: [SIDE, SIDE, 1], network, diffusion: settings.diffusion, classes: [], vocabulary: 0 };
}

/** Real, orthonormal waves of a periodic square, each with its band: all that a spectrum says, written anew. */
const waves: { values: Float64Array; band: number }[] = (() => {
  const line = Array.from({ length: SIDE }, (_, k) => {
    const cycles = k <= SIDE / 2 ? k : SIDE - k;
    const values = Array.from({ length: SIDE }, (_, n) => {
      const angle = (2 * Math.PI * cycles * n) / SIDE;
      const scale = Math.sqrt((cycles === 0 || cycles === SIDE / 2 ? 1 : 2) / SIDE);
      return scale * (k <= SIDE / 2 ? Math.cos(angle) : Math.sin(angle));
    });
    return { values, frequency: cycles / SIDE };
  });
  return line.flatMap((rows) =>
    line.map((columns) => ({
      values: Float64Array.from({ length: SIZE }, (_, at) => rows.values[Math.floor(at / SIDE)]! * columns.values[at % SIDE]!),
      band: Math.min(BANDS - 1, Math.floor(2 * BANDS * Math.hypot(rows.frequency, columns.frequency))),
    })),
  );
})();

/** sum over waves of f(band) w w^T, [SIZE * SIZE]. */
function alongWaves(f: (band: number) => number): Float64Array {
  const matrix = new Float64Array(SIZE * SIZE);
  for (const { values, band } of waves)
    for (let i = 0; i < SIZE; i++) for (let j = 0; j < SIZE; j++) matrix[i * SIZE + j]! += f(band) * values[i]! * values[j]!;
  return matrix;
}

const deviations = [0.9, 0.2];

/** Rows of Gaussian data with these deviations along the waves of each band. */
const clean = (() => {
  const draws = normals({ seed: 2, stream: "clean", length: ROWS * SIZE });
  const rows = new Float32Array(draws.length);
  for (let row = 0; row < ROWS; row++)
    for (const [k, { values, band }] of waves.entries())
      for (let i = 0; i < SIZE; i++) rows[row * SIZE + i]! += deviations[band]! * draws[row * SIZE + k]! * values[i]!;
  return rows;
})();
const noise = normals({ seed: 2, stream: "noise", length: ROWS * SIZE });

const ground = { clean, noise, shape: [SIDE, SIDE, 1] as const, bands: BANDS, batch: 64 };

test("bands add up to the mean square, and a wave lies in its band alone", () => {
  const power = planBandPower({ height: SIDE, width: SIDE, channels: 1, bands: BANDS });
  for (const { values, band } of waves)
    assert.equal(
      [...power(values)].map((value) => Math.round(value * SIZE * 1e6) / 1e6),
      band === 0 ? [1, 0] : [0, 1],
    );
  const two = planBandPower({ height: SIDE, width: SIDE, channels: 2, bands: 3 });
  const latent = normals({ seed: 1, stream: "l", length: 2 * SIZE });
  const sum = latent.reduce((total, value) => total + value * value, 0) / SIZE;
  assert.close([...two(latent)].reduce((a, b) => a + b) / sum, 1, 1e-9);
});

for (const parameterisation of ["edm", "flow"]) {
  test(
    `${parameterisation}: the best denoiser of Gaussian data leaves sigma^2 / (S + sigma^2) of each band unexplained`,
    async () => {
      addFamily(affine);
      const spec = specOf(affine.name, parameterisation);
      const weights = affineWeights(spec, (sigma) => ({
        matrix: alongWaves((band) => deviations[band]! ** 2 / (deviations[band]! ** 2 + sigma ** 2)),
        shift: new Float64Array(SIZE),
      }));
      const { denoise } = await create({ spec, weights, batch: ground.batch, engine });
      // At the knots themselves the network is exact, and the highest is sigmaMax.
      const levels = affine.config(spec).knots.map((knot) => sigmaOf(spec, knot));
      const sigmas = levels.reverse().filter((sigma, i) => sigma > 0.02 && i % 3 === 0);
      const found = await measureFrequencies({
        ...ground,
        sigmas,
        places: [],
        denoise: ({ x, sigma }) => denoise({ x, sigma, conditions: {} }),
      });
      for (const [band, s] of deviations.entries()) {
        for (const [at, sigma] of sigmas.entries()) {
          const exact = sigma ** 2 / (s ** 2 + sigma ** 2);
          assert.close(found.unexplained[at]![band]! / exact, 1, 0.05, `band ${band}, sigma ${sigma}`);
        }
        const counted = waves.filter((wave) => wave.band === band).length;
        assert.close((found.energy[band]! * SIZE) / (s ** 2 * counted), 1, 0.05);
      }
    },
    { seconds: 60 },
  );
}

test("half of a band is explained where the error passes a half", () => {
  const sigmas = [10, 1, 0.1];
  const unexplained = [
    [0.9, 0.4, 1],
    [0.5, 0.3, 0.9],
    [0.1, 0.1, 0.8],
  ];
  const [first, second, third] = halfLevels({ sigmas, unexplained, energy: [1, 1, 1] });
  assert.close(first!, 1, 1e-12);
  assert.is(second, 10);
  assert.is(third, undefined);
  const between = halfLevels({ sigmas: [4, 1], unexplained: [[0.6], [0.4]], energy: [1] });
  assert.close(between[0]!, 2, 1e-12);
});

/** Two places, each of which adds one band of the input times a gain of its own. */
const bandwise = {
  name: "bandwise",
  config: () => ({}),
  init: () => {
    const init = createInitialiser(1);
    for (const band of [0, 1]) init.normal(`band.${band}.kernel`, [SIZE, SIZE], 0);
    return init.weights;
  },
  apply: (_, parameters, { x }, hooks = {}) => {
    const flat = tf.reshape(x, [-1, SIZE]);
    const low = passing(hooks, "low", tf.matMul(flat, parameter(parameters, "band.0.kernel")));
    const both = passing(hooks, "high", tf.add(low, tf.matMul(flat, parameter(parameters, "band.1.kernel"))));
    return tf.reshape(both, x.shape);
  },
  conditions: () => ({}),
  encoders: () => [],
  groups: () => ({}),
  features: () => [],
} satisfies Family<object>;

test(
  "without a place that adds one band, that band loses what it added and the others nothing",
  async () => {
    addFamily(bandwise);
    const spec = specOf(bandwise.name);
    const gains = [0.8, 0.5];
    const weights = bandwise.init();
    for (const band of [0, 1])
      weights[`band.${band}.kernel`]!.data = Float32Array.from(alongWaves((of) => (of === band ? gains[band]! : 0)));
    const worker = await create({ spec, weights, batch: ground.batch, engine });
    const places = await worker.places();
    assert.equal(places, [
      { place: "low", adds: false },
      { place: "high", adds: true },
    ]);
    const sigmas = [3, 0.3];
    const found = await measureFrequencies({
      ...ground,
      sigmas,
      places,
      denoise: ({ x, sigma, without }) => worker.denoise({ x, sigma, conditions: {}, ...(without && { without }) }),
    });
    const { cIn, cOut } = noiseLevels(createParameterisation(spec.diffusion), sigmas);
    for (const [i, [own, other]] of [
      [0, 1],
      [1, 0],
    ].entries()) {
      for (const [level, sigma] of sigmas.entries()) {
        const s = deviations[own!]!;
        const exact = (cIn[level]! * cOut[level]! * gains[own!]!) ** 2 * ((s ** 2 + sigma ** 2) / s ** 2);
        assert.close(found.effects[i]![level]![own!]! / exact, 1, 0.06, `${places[i]!.place}, sigma ${sigma}`);
        // The part that is left of the other band is a multiple of what was there, and nothing was.
        assert.ok(found.effects[i]![level]![other!]! < 1e-3 * exact + 1e-6, `${found.effects[i]![level]}`);
      }
    }
    // One call on noise: cSkip and the gains times sigmaMax eps, over the energy of the clean band.
    const all = noiseLevels(createParameterisation(spec.diffusion), sigmas);
    for (const [band, s] of deviations.entries()) {
      const slope = all.cSkip[0]! + all.cOut[0]! * all.cIn[0]! * gains[band]!;
      assert.close(found.made[band]! / ((slope * sigmas[0]!) / s) ** 2, 1, 0.06);
    }
    const measured = [{ name: "student" as const, folder: "s", hash: "h", frequencies: found }];
    const text = frequencyText({ measured, rows: ROWS, reference: "latents" });
    assert.match(text, /\| low \* \| .+ \|\n\| high \| /);
    assert.not.match(text, /NaN|undefined|Infinity/);
  },
  { seconds: 60 },
);

test.run();
