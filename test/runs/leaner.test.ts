/** Descriptions without what nobody reads: what comes back is what was written, of files of before too. */
import { anyDiffusion, anyNetwork } from "../../schemas/settings.ts";
import { leaner } from "../../stages/runs/leaner.ts";
import { assert, suite } from "../harness.ts";

const test = suite("lean descriptions");
const specOf = (network: object) => ({
  spec: { shape: [8, 8, 4], network: anyNetwork.parse(network), diffusion: anyDiffusion.parse({}), classes: [], vocabulary: 0 },
});

test("a published network keeps what it says itself, and is read as it was written", () => {
  const whole = specOf({ kind: "published", condition: "none", published: { sample_size: 8 }, pixels: [64, 64] });
  const lean = leaner(whole);
  assert.equal(lean.spec.network, { kind: "published", condition: "none", published: { sample_size: 8 }, pixels: [64, 64] });
  assert.equal(anyNetwork.parse(JSON.parse(JSON.stringify(lean.spec.network))), whole.spec.network);
  assert.equal(anyNetwork.parse(whole.spec.network), whole.spec.network);
});

test("what is not as reading fills it in stays, and so does all of other kinds", () => {
  const odd = specOf({ kind: "published", condition: "none", published: {}, width: 64 });
  assert.is(leaner(odd).spec.network.width, 64);
  const own = specOf({ kind: "unet" });
  assert.equal(leaner(own), own);
});

test.run();
