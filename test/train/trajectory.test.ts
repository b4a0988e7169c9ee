/** Methods that learn from the teacher's states on the way: what they are given, and what a store without states says. */
import type { AnyMethod } from "../../methods/registry.ts";
import { methodNamed } from "../../methods/registry.ts";
import { simulate } from "../../pipelines/simulate.ts";
import type { Settings } from "../../schemas/settings.ts";
import { prepareStudent } from "../../stages/train/prepare/student.ts";
import { plannedPhases } from "../../stages/train/phases.ts";
import { openTripleStore, readTriples } from "../../store/rows/triples.ts";
import { assert, suite } from "../harness.ts";
import { contextOf, freshFolder, LENGTH, settingsOf, writeRun } from "../simulate/fixture.ts";

const test = suite("training on trajectories");
const usual = methodNamed("diffusion2gan");
/** The usual method, as if it learned from states. */
const onTheWay: AnyMethod = { ...usual, name: usual.name, needs: (...given) => ({ ...usual.needs(...given), trajectory: true }) };
const { signal } = new AbortController();
const follow = { signal, onWait: () => {} };

test("batches hold states and levels of the store where the method asks, in any step, and else neither", async () => {
  const teacher = await writeRun();
  const store = freshFolder();
  const base = settingsOf({ count: 16, trajectory: [0, 1, 2] });
  await simulate({ teacher, out: store, settings: base, context: contextOf() });
  const settings = { ...base, train: { ...base.train, batch: 4, steps: 6, distanceEvery: 0 } };
  const prepared = (method: AnyMethod) => prepareStudent({ method, store, teacher, out: freshFolder(), settings, context: contextOf() });
  const [with_, without] = [await prepared(onTheWay), await prepared(usual)];
  try {
    const { manifest } = await openTripleStore({ folder: store });
    assert.equal(with_.job.subject.trajectory, manifest.trajectory!.sigmas);
    assert.not("trajectory" in without.job.subject);
    assert.not.equal(with_.identity.hash, without.identity.hash);
    const rows = (await Promise.all([0, 1].map(async (shard) => readTriples(await openTripleStore({ folder: store }), shard)))).flat();
    const batches = [];
    for await (const batch of with_.batches(0, follow)) batches.push(batch);
    for await (const { step, states } of with_.batches(4, follow)) assert.equal(states, batches[step]!.states); // a resumed run's
    let seen = 0;
    for (const { states, latent, noise } of batches) {
      assert.is(states!.length, 3);
      for (let i = 0; i < 4; i++) {
        const of = (values: Float32Array) => values.subarray(i * LENGTH, (i + 1) * LENGTH);
        const row = rows.find((each) => each.noise[0] === of(noise!)[0])!;
        assert.equal([of(states![1]!), of(states![2]!), of(latent!)], [row.state1, row.state2, row.latent]);
        assert.equal(
          of(states![0]!),
          row.noise.map((value) => 80 * value),
        );
        seen++;
      }
    }
    assert.is(seen, 24);
    for await (const batch of without.batches(0, follow)) assert.not("states" in batch);
  } finally {
    await with_.close();
    await without.close();
  }
});

test("a store without states is refused with the command that adds them; phases do not keep those of the store given", async () => {
  const teacher = await writeRun({ condition: "none" });
  const store = freshFolder();
  const settings = settingsOf({ count: 4, guidance: 1 }, "none");
  await simulate({ teacher, out: store, settings, context: contextOf() });
  const student = { method: onTheWay, store, teacher, out: freshFolder(), settings, context: contextOf() };
  await assert.rejects(
    prepareStudent(student),
    new RegExp(
      `^Cannot train by diffusion2gan on ${store}: .* keeps none. Add them: ` +
        `pipeline reprocess ${store} --to NEW --teacher ${teacher} --trajectory 0,1,2`,
    ),
  );
  const kept: Settings = { ...settings, simulate: { ...settings.simulate, trajectory: [0, 1], lead: 2, keep: "unread" } };
  const phases = [
    { name: "pairs", simulate: {} },
    { name: "ways", simulate: { trajectory: [2] } },
  ];
  const planned = await plannedPhases({ method: usual, phases, given: store, out: "out", settings: kept });
  assert.equal(
    planned.map(({ settings: { simulate } }) => simulate.trajectory),
    [undefined, [2]],
  );
  // What it makes it trains on afterwards: it would wait for ever for itself.
  for (const { simulate } of planned.map(({ settings }) => settings)) assert.equal([simulate.lead, simulate.keep], [undefined, undefined]);
});

test.run();
