/** The teacher's states on the way: closed forms and float64 integrations of linear teachers, stops, kills and bad values. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { commandLine } from "../fixtures/command-line.ts";
import { simulate } from "../../pipelines/simulate.ts";
import { assignmentLayer, presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import type { OwnSolver } from "../../models/diffusion/solvers.ts";
import type { SimulateSettings } from "../../schemas/settings.ts";
import { drain, pull } from "../../stages/flow/mod.ts";
import { simulateShards, type TripleShard } from "../../stages/simulate/simulate.ts";
import { readSummary } from "../../store/shards/summary.ts";
import { createTripleStore, noiseOf, openTripleStore, readTriples, statesOf } from "../../store/rows/triples.ts";
import { verifyStore } from "../../store/making/verify.ts";
import { scriptWords } from "../fixtures/script.ts";
import { assert, suite } from "../harness.ts";
import { contentsOf, contextOf, freshFolder, LENGTH, settingsOf, writeRun } from "./fixture.ts";

const test = suite("trajectory");

async function made(teacher: string, changes: Partial<SimulateSettings>, condition: "class" | "none" = "none") {
  const out = freshFolder();
  await simulate({ teacher, out, settings: settingsOf({ guidance: 1, ...changes }, condition), context: contextOf() });
  const store = await openTripleStore({ folder: out });
  const rows = [];
  for (let shard = 0; shard < store.shards; shard++) rows.push(...(await readTriples(store, shard)));
  return { out, store, rows };
}

/**
 * What a network of zeros makes of a state: D(x; sigma) = s(sigma) x, and so x(sigma) = x(top) g(sigma) / g(top) along the ODE.
 * Karras et al. 2022, table 1 and eq. 7 for EDM; D of a velocity or v of zero otherwise.
 */
const linear = {
  edm: { skip: (sigma: number) => 0.25 / (0.25 + sigma ** 2), growth: (sigma: number) => Math.sqrt(0.25 + sigma ** 2) },
  flow: { skip: (sigma: number) => 1 / (1 + sigma), growth: (sigma: number) => 1 + sigma },
  "vp-v": { skip: (sigma: number) => 1 / (1 + sigma ** 2), growth: (sigma: number) => Math.sqrt(1 + sigma ** 2) },
} as const;

test("states of linear teachers lie on the closed form of their ODE, for every parameterisation", async () => {
  for (const [parameterisation, { growth }] of Object.entries(linear)) {
    const teacher = await writeRun({ weights: "zero", condition: "none", diffusion: { parameterisation: parameterisation as "edm" } });
    const { store, rows } = await made(teacher, { steps: 60, count: 3, trajectory: [0, 7, 30, 59] });
    const { steps, sigmas } = store.manifest.trajectory!;
    assert.equal(steps, [0, 7, 30, 59]);
    const top = sigmas[0]!;
    assert.ok(sigmas.every((sigma, i) => i === 0 || sigma < sigmas[i - 1]!));
    for (const row of rows) {
      for (const [i, state] of statesOf(store.manifest, row).entries()) {
        const scale = (top * growth(sigmas[i]!)) / growth(top);
        for (const at of [0, 5, LENGTH - 1]) {
          const exact = scale * row.noise[at]!;
          assert.close(
            state[at]!,
            exact,
            i === 0 ? 1e-6 * Math.abs(exact) : 0.01 * Math.abs(exact) + 1e-6,
            `${parameterisation} ${steps[i]}`,
          );
        }
      }
    }
  }
});

/** Textbook solvers in float64: the states before each step. */
const references: Record<OwnSolver, (sigmas: number[], x: number, denoise: (x: number, sigma: number) => number) => number[]> = {
  euler: (sigmas, start, denoise) => {
    let x = start;
    return sigmas.slice(1).map((next, i) => {
      const [before, sigma] = [x, sigmas[i]!];
      x += (next - sigma) * ((x - denoise(x, sigma)) / sigma);
      return before;
    });
  },
  ddim: (sigmas, start, denoise) => references.euler(sigmas, start, denoise),
  heun: (sigmas, start, denoise) => {
    let x = start;
    return sigmas.slice(1).map((next, i) => {
      const [before, sigma] = [x, sigmas[i]!];
      const slope = (x - denoise(x, sigma)) / sigma;
      const ahead = x + (next - sigma) * slope;
      x = next === 0 ? ahead : x + ((next - sigma) * (slope + (ahead - denoise(ahead, next)) / next)) / 2;
      return before;
    });
  },
  // Lu et al. 2022, algorithm 2 with alpha = 1: lambda = -ln sigma, h the steps in lambda, D the mixture of the last two.
  "dpm++2m": (sigmas, start, denoise) => {
    let x = start;
    let last: { denoised: number; h: number } | undefined;
    return sigmas.slice(1).map((next, i) => {
      const [before, sigma] = [x, sigmas[i]!];
      const denoised = denoise(x, sigma);
      const h = Math.log(sigma / next);
      const ratio = last && next > 0 ? last.h / h : 0;
      const mixed = ratio > 0 ? (1 + 1 / (2 * ratio)) * denoised - last!.denoised / (2 * ratio) : denoised;
      x = (next / sigma) * x + (1 - next / sigma) * mixed;
      last = { denoised, h };
      return before;
    });
  },
};

test("states of each solver are those of a float64 integration, and their levels those of the grid", async () => {
  const teacher = await writeRun({ weights: "zero", condition: "none" });
  const steps = 9;
  // Karras et al. 2022, eq. 5; of DDIM on an EDM network the angles arctan sigma are uniform, down to zero.
  const karras = Array.from({ length: steps }, (_, i) => (80 ** (1 / 7) + (i / (steps - 1)) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7);
  const angles = Array.from({ length: steps }, (_, i) => Math.tan(Math.atan(80) * (1 - i / steps)));
  for (const solver of ["euler", "heun", "ddim", "dpm++2m"] as const) {
    const trajectory = [0, 1, 4, 8];
    const { store, rows } = await made(teacher, { solver, steps, count: 2, trajectory });
    const grid = [...(solver === "ddim" ? angles : karras), 0];
    assert.close(
      store.manifest.trajectory!.sigmas,
      trajectory.map((step) => grid[step]!),
      1e-9 * 80,
      solver,
    );
    for (const row of rows) {
      const states = statesOf(store.manifest, row);
      for (const at of [0, 3, LENGTH - 2]) {
        const exact = references[solver](grid, 80 * row.noise[at]!, (x, sigma) => linear.edm.skip(sigma) * x);
        for (const [i, step] of trajectory.entries()) {
          assert.close(states[i]![at]!, exact[step]!, 2e-5 * Math.abs(exact[step]!) + 1e-7, `${solver}, step ${step}`);
        }
      }
    }
  }
});

test("the results are bitwise those without states, under guidance and in batches that do not fill", async () => {
  const teacher = await writeRun();
  const plain = await made(teacher, { guidance: 1.5 }, "class");
  for (const changes of [{}, { noise: "stored" }, { dtype: "float16" }] as const) {
    const other = await made(teacher, { guidance: 1.5, ...changes }, "class");
    const kept = await made(teacher, { guidance: 1.5, trajectory: [0, 2], ...changes }, "class");
    assert.equal(
      kept.rows.map(({ id, latent, label }) => ({ id, latent, label })),
      other.rows.map(({ id, latent, label }) => ({ id, latent, label })),
    );
    assert.equal(await verifyStore(kept.store), []);
    assert.equal((await readSummary(kept.store))!.statistics, (await readSummary(other.store))!.statistics);
    for (const row of kept.rows) {
      const [first, second] = statesOf(kept.store.manifest, row);
      assert.equal(
        first,
        noiseOf(row, LENGTH).map((value) => value * 80),
      );
      assert.equal(second, row.state2);
      assert.not("state0" in row);
    }
  }
  assert.not("trajectory" in plain.store.manifest);
  assert.not(readFileSync(join(plain.out, "store.json"), "utf8").includes("trajectory"));
  assert.not(readFileSync(join(plain.out, "settings.yaml"), "utf8").includes("trajectory"));
});

test(
  "stopped and gone on with, or killed, the bytes are the same",
  async () => {
    const teacher = await writeRun();
    const settings = settingsOf({ trajectory: [0, 1] });
    const [unbroken, stopped, killed] = [freshFolder(), freshFolder(), freshFolder()];
    await simulate({ teacher, out: unbroken, settings, context: contextOf() });
    const context = contextOf((event) => event.type === "progress" && event.done > 8 && context.controller.abort(new Error("stop")));
    await assert.rejects(simulate({ teacher, out: stopped, settings, context }), /stop/);
    await simulate({ teacher, out: stopped, settings, context: contextOf() });
    assert.equal(contentsOf(stopped), contentsOf(unbroken));

    const script = fileURLToPath(new URL("killed.ts", import.meta.url));
    for (const progress of [2, 4]) {
      const child = spawn(process.execPath, [...scriptWords(script), teacher, killed, String(progress), "0,1"], { stdio: "inherit" });
      assert.equal(await once(child, "exit"), [null, "SIGKILL"]);
    }
    await simulate({ teacher, out: killed, settings, context: contextOf() });
    assert.equal(contentsOf(killed), contentsOf(unbroken));

    const wrong = simulate({ teacher, out: unbroken, settings: settingsOf({ trajectory: [1] }), context: contextOf() });
    await assert.rejects(
      wrong,
      /it was made with other settings \(trajectory.sigmas: \[.*\]; trajectory.steps: \[0,1\] instead of \[1\]\)/,
    );
  },
  { seconds: 60 },
);

test("a state that is no number, or none as a half float, rejects its row", async () => {
  for (const [value, dtype, reason] of [
    [Number.NaN, "float32", "1 of the 2 values of its state1 are not finite"],
    [70_000, "float16", "1 of the 2 values of its state1 are not finite"],
    [70_000, "float32", undefined],
  ] as const) {
    const store = await createTripleStore({
      folder: freshFolder(),
      manifest: {
        shape: [1, 1, 2],
        dtype,
        entries: 4,
        rowsPerShard: 4,
        classes: [],
        seed: "1",
        noise: "derived",
        teacher: { hash: "t" },
        solver: { name: "euler", steps: 2 },
        diffusion: settingsOf().diffusion,
        guidance: 1,
        conditions: { source: "none" },
        trajectory: { steps: [1], sigmas: [3] },
        engine: { device: "cpu", version: "test", batch: 4 },
      },
    });
    const shards: TripleShard[] = [];
    const stage = simulateShards({
      store,
      batch: 4,
      elsewhere: () => 0,
      report: () => {},
      sample: async ({ keep }) => {
        assert.equal(keep, [1]);
        return { latents: new Float32Array(8), states: [Float32Array.of(1, 1, 1, 1, 1, value, 1, 1)] };
      },
    });
    const planned = [{ shard: 0, from: 0, conditions: [{}, {}, {}, {}] }];
    await drain(pull(() => planned).pipe(stage), { sink: (shard) => void shards.push(shard) });
    assert.equal(shards[0]!.failed, reason === undefined ? [] : [{ id: 2, reason }]);
  }
});

test("the setting takes a list, words, a number or none, and says what is wrong", async () => {
  const of = (...assignments: string[]) => resolveSettings([presetLayer("smoke"), ...assignments.map(assignmentLayer)]).simulate;
  assert.equal(of("simulate.trajectory=0,2,1,2").trajectory, [0, 1, 2]);
  assert.equal(of("simulate.trajectory=[0, 2]").trajectory, [0, 2]);
  assert.equal(of("simulate.trajectory=2").trajectory, [2]);
  assert.is(of("simulate.trajectory=0,2", "simulate.trajectory=none").trajectory, undefined);
  assert.not("trajectory" in of());
  for (const wrong of ["0,x", "-1", "1.5", "[0, a]", "null"]) {
    assert.throws(
      () => of(`simulate.trajectory=${wrong}`),
      /^Cannot set simulate.trajectory to .* \(--set\): expected numbers of solver steps, from 0 on, as in 0,4,8, or none$/,
    );
  }
  const teacher = await writeRun({ condition: "none" });
  const line = ["simulate", "--teacher", teacher, "--out", freshFolder(), "--count", "2", "--steps", "3", "--trajectory"];
  const refused = await commandLine([...line, "0,3"]);
  assert.is(refused.code, 2);
  assert.match(refused.said, /Cannot use simulate.trajectory=\[0,3\] with simulate.steps=3: the solver's steps are 0 to 2/);
  const taken = await commandLine([...line, "0,2"]);
  assert.is(taken.code, 0, taken.said);
});

test("shards that no file holds are refused before anything is simulated", async () => {
  const teacher = await writeRun({ condition: "none" });
  const trajectory = Array.from({ length: 1000 }, (_, i) => i);
  const settings = settingsOf({ steps: 1000, count: 10_000, rowsPerShard: 10_000, guidance: 1, trajectory }, "none");
  await assert.rejects(
    simulate({ teacher, out: freshFolder(), settings, context: contextOf() }),
    /1000 states make shards of 7680000000 bytes, expected at most \d+: keep fewer states .* or make smaller shards/,
  );
});

test.run();
