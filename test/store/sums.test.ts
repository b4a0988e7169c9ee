/** Sums over latents against sums written out value by value: to the last bit, with what is not finite, of any number of channels. */
import { createSums } from "../../store/records/statistics.ts";
import { assert, suite } from "../harness.ts";

const test = suite("sums");

/** Finite values of each channel, added up in their order. */
function plainly(latents: readonly Float32Array[], channels: number) {
  const of = () => ({ count: 0, sum: 0, squares: 0, min: null as number | null, max: null as number | null });
  const all = Array.from({ length: channels }, of);
  let nonFinite = 0;
  for (const latent of latents) {
    // of a latent a channel follows the other
    for (const [i, value] of latent.entries()) {
      const channel = all[i % channels]!;
      if (!Number.isFinite(value)) nonFinite++;
      else {
        channel.count++;
        channel.sum += value;
        channel.squares += value * value;
        channel.min = channel.min === null || value < channel.min ? value : channel.min;
        channel.max = channel.max === null || value > channel.max ? value : channel.max;
      }
    }
  }
  const each = <K extends keyof ReturnType<typeof of>>(key: K) => all.map(({ [key]: value }) => value);
  return { count: each("count"), sum: each("sum"), squares: each("squares"), min: each("min"), max: each("max"), nonFinite };
}

/** Numbers of many magnitudes, whose sums round. */
const latent = (length: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(seed + 1.7 * i) * 10 ** ((i * 7 + seed) % 9));

for (const channels of [1, 3, 4, 8, 12, 16, 1028]) {
  test(`of ${channels} channels they are the same to the last bit`, () => {
    const latents = [1, 2, 3].map((seed) => latent(channels * Math.ceil(40_000 / channels), seed)); // more than is added at once
    latents.push(
      latent(channels, 4),
      new Float32Array(0),
      Float32Array.from({ length: channels }, () => -0),
    );
    const sums = createSums(channels);
    for (const each of latents) sums.add(each);
    assert.equal(sums.result(), plainly(latents, channels));
  });

  test(`of ${channels} channels what is not finite is counted and left out`, () => {
    const latents = [5, 6, 7].map((seed) => latent(channels * Math.ceil(20_000 / channels), seed));
    latents[1]![channels - 1] = Number.NaN;
    latents[1]![17 * channels] = Number.POSITIVE_INFINITY;
    latents[2]![2 * channels + (channels >> 1)] = Number.NEGATIVE_INFINITY;
    latents[2]!.fill(3.4e38, 0, channels); // finite, and its square beyond float32
    const sums = createSums(channels);
    for (const each of latents) sums.add(each);
    assert.equal(sums.result(), plainly(latents, channels));
    assert.is(sums.result().nonFinite, 3);
  });
}

test("nothing has neither the least nor the greatest", () => {
  assert.equal(createSums(4).result(), plainly([], 4));
});

test.run();
