/** What a page computes beside the graphs: links, noise, and the loop of calls, held to formulas in double precision. */
import { draw, pixelsOf } from "../../stages/export/web/drawing.ts";
import { type Choices, linkOf, type Wish, wishOf } from "../../stages/export/web/link.ts";
import { assert, suite } from "../harness.ts";
import { expected, expectedOfLoop, loop, noiseOf } from "./fixture.ts";

const test = suite("drawing in a page");
const usual: Wish = { seed: 0, index: 0, caption: "owls", label: 0, calls: undefined, walk: undefined };
const spread = (a: ArrayLike<number>, b: ArrayLike<number>): number => Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

test("a link says the wish, and what is wrong in one is passed over", () => {
  const choices: Choices = { readsCaptions: true, names: [], calls: [4, 1, 2] };
  const wish: Wish = { ...usual, seed: 7, index: 3, caption: "a cat & a dog = 2 #1?", calls: 2, walk: { seed: 12, index: 5, at: 0.25 } };
  assert.equal(wishOf(`#${linkOf(wish, choices)}`, usual, choices), wish);
  assert.is(linkOf(usual, choices), "caption=owls&seed=0");
  assert.is(linkOf({ ...usual, calls: 4 }, choices), "caption=owls&seed=0"); // as many calls as are usual
  for (const link of [
    "",
    "#",
    "#seed=-1&steps=3&to=x&at=2&index=1e3",
    "#seed=99999999999999&class=cat",
    "#=&&&",
    "#%zz",
    "#seed=1.5&to=3&at=NaN",
  ])
    assert.equal(wishOf(link, usual, choices), usual, link);
  assert.is(wishOf(`#caption=${"x".repeat(5000)}`, usual, choices).caption.length, 1000);
  const byClass: Choices = { readsCaptions: false, names: ["cat", "big dog"], calls: [1] };
  assert.is(linkOf({ ...usual, label: 1 }, byClass), "class=big+dog&seed=0");
  assert.is(wishOf("class=big+dog&seed=3", usual, byClass).label, 1);
});

const graphs = { generator: { inputs: [{ name: "noise" }] } } as never;
const model = { latent: [8, 8, 3] as [number, number, number], noise: { stream: "samples" }, graphs };
const condition = { label: 1 };

/** The fixture's graphs, in JavaScript. */
const run: Parameters<typeof draw>[0]["run"] = async (graph, { noise, x, level, latent }) => {
  if (graph === "decoder") return (latent as Float32Array).map((value) => 0.9 * value);
  const [from, factor] = noise ? [noise, 0.5] : [x, level![1]!];
  return Float32Array.from(from as Float32Array, (value) => Math.tanh(factor * value + 0.3));
};

test("one call draws the noise of a seed and number, and on a walk that between two", async () => {
  const direct = { model: { ...model, sampler: { kind: "direct" as const } }, conditions: {}, run };
  const [here, there] = [
    { seed: 5, index: 2 },
    { seed: 9, index: 0 },
  ];
  const walk = (at: number) => draw({ ...direct, wish: { ...here, calls: undefined, walk: { ...there, at } } });
  assert.ok(
    spread(await draw({ ...direct, wish: { ...here, calls: undefined, walk: undefined } }), expected(noiseOf(here), condition)) < 1e-6,
  );
  assert.ok(spread(await walk(0), expected(noiseOf(here), condition)) < 1e-6);
  assert.ok(spread(await walk(1), expected(noiseOf(there), condition)) < 1e-6);
  const [a, b] = [noiseOf(here), noiseOf(there)];
  const between = Array.from(a, (value, i) => Math.cos(Math.PI / 6) * value + Math.sin(Math.PI / 6) * b[i]!);
  assert.ok(spread(await walk(1 / 3), expected(between, condition)) < 1e-6);
});

test("a loop remembers, clips and adds fresh noise as onestep.json says", async () => {
  const which = { seed: 3, index: 1 };
  const sampler = { kind: "loop" as const, calls: 2, loops: { 2: loop } };
  const calls: number[][] = [];
  const options = { model: { ...model, sampler }, conditions: {}, run, wish: { ...which, calls: undefined, walk: undefined } };
  const drawn = await draw({ ...options, onCall: (call, of) => void calls.push([call, of]) });
  assert.ok(spread(drawn, expectedOfLoop(which, condition)) < 1e-6);
  assert.equal(calls, [
    [0, 2],
    [1, 2],
  ]);
  await assert.rejects(draw({ ...options, wish: { ...options.wish, calls: 5 } }), "exported for 2");
  const prior = { mean: [1, -2, 0.5], std: [0.5, 2, 1] };
  const once = { start: 2, stages: [{ ...loop.stages[1], state: 1, denoised: 0, memories: [] }] } as never;
  const withPrior = { ...model, sampler: { ...sampler, prior, loops: { 2: once } } };
  const first = [noiseOf(which), noiseOf(which, "samples/prior")] as const;
  const state = Array.from(first[0], (value, i) => 2 * value + prior.mean[i % 3]! + prior.std[i % 3]! * first[1][i]!);
  const image = await draw({ ...options, model: withPrior });
  assert.ok(
    spread(
      image,
      state.map((value) => 0.9 * value),
    ) < 1e-5,
  );
});

test("pixels are rounded and clamped, with full opacity", () => {
  assert.equal([...pixelsOf(Float32Array.of(-1, 1, 0, -3, 3, 0.5))], [0, 255, 128, 255, 0, 255, 191, 255]);
});

test.run();
