/** Weights are exactly those of the network that is described, all of them finite, whoever computed hash and seal anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashWeights, type Weights } from "../../engine/weights.ts";
import { loadFeatureNetwork } from "../../models/features/load.ts";
import { initBuiltin } from "../../models/features/builtin.ts";
import { safetensorsPieces, sourcesOf, type TensorSource } from "../../models/weights/pieces.ts";
import { encodeSafetensors } from "../../models/weights/safetensors.ts";
import { isFailure } from "../../schemas/failure.ts";
import { sealedText } from "../../schemas/seal.ts";
import { readCodec } from "../../stages/runs/model.ts";
import { taesdIn, writeTaesd } from "../fixtures/taesd.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { assert, suite } from "../harness.ts";
import { written } from "./networks.ts";

const test = suite("weights of networks");

const bytesOf = async (tensors: Record<string, TensorSource>): Promise<Buffer> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of safetensorsPieces({ tensors })) pieces.push(Uint8Array.from(piece));
  return Buffer.concat(pieces);
};

const vector = (...values: number[]): Weights[string] => ({ shape: [values.length], data: Float32Array.from(values) });

/** Weights that are not the network's, by what is wrong with them, and what is said of them. */
function* changes(weights: Weights): Generator<[what: string, changed: Weights, said: RegExp]> {
  const names = Object.keys(weights);
  const bias = names.find((name) => name.endsWith(".bias") && weights[name]!.data.length > 1)!;
  const kernel = names.find((name) => weights[name]!.shape.length > 1)!;
  const quoted = (name: string) => `"${name.replaceAll(".", "\\.")}"`;
  for (const name of names) {
    const { [name]: _, ...rest } = weights;
    yield [`without ${name}`, rest, new RegExp(`${quoted(name)} is missing`)];
  }
  for (const name of ["more", `${bias}.bias`, "__proto__", "constructor", "", "toString"]) {
    yield [`with ${name}`, Object.fromEntries([...Object.entries(weights), [name, vector(0)]]), new RegExp(`${quoted(name)} is unknown`)];
  }
  for (const [name, shape] of [
    [bias, [1]],
    [bias, [1, weights[bias]!.data.length]],
    [bias, []],
    [kernel, [weights[kernel]!.data.length]],
    [kernel, weights[kernel]!.shape.toReversed()],
  ] as const) {
    if (String(weights[name]!.shape) === String(shape)) continue;
    const length = shape.reduce((a, b) => a * b, 1);
    const tensor = { shape: [...shape], data: weights[name]!.data.slice(0, length) };
    yield [`${name} as [${shape}]`, { ...weights, [name]: tensor }, new RegExp(`${quoted(name)} is \\[${shape.join(", ")}\\] instead of`)];
  }
  yield ["no tensor", {}, /of its 0 tensors not all are.* is missing.* more/];
  for (const value of [Number.NaN, Infinity, -Infinity]) {
    for (const at of [0, weights[kernel]!.data.length - 1]) {
      const data = weights[kernel]!.data.slice();
      data[at] = value;
      const said = new RegExp(`element ${at} of tensor ${quoted(kernel)} is not finite \\(${value}\\)`);
      yield [`${value} at ${at}`, { ...weights, [kernel]: { ...weights[kernel]!, data } }, said];
    }
  }
}

for (const [name, write] of Object.entries(written).filter(([name]) => name !== "a codec of pixels")) {
  test(`${name}: tensors that are missing, left over, of another shape or not finite are refused by name`, async () => {
    const { folder, file, weights: weightsFile = "", read } = await write();
    const { weights } = await read(folder);
    const [path, described] = [join(folder, weightsFile), join(folder, file)];
    const { format, version: _, seal: __, ...content } = JSON.parse(readFileSync(described, "utf8"));
    const refused = async (what: string, bytes: Uint8Array, hash: string, said: RegExp): Promise<void> => {
      writeFileSync(path, bytes);
      writeFileSync(described, sealedText(format, { ...content, hash }));
      const error = await read(folder).then(
        () => undefined,
        (reason: Error) => reason,
      );
      assert.ok(error && isFailure(error), `${what}: ${error?.stack ?? "it was read"}`);
      assert.ok(error.message.includes(path), error.message);
      assert.match(error.message, said);
    };
    let tried = 0;
    for (const [what, changed, said] of changes(weights)) {
      await refused(what, encodeSafetensors({ tensors: changed }), hashWeights(changed), said);
      tried++;
    }
    assert.ok(tried > 18);
    const sources = sourcesOf(weights);
    const [first, { shape, data }] = Object.entries(weights)[0] as [string, Weights[string]];
    for (const [dtype, array] of [
      ["F64", Float64Array],
      ["I32", Int32Array],
      ["U8", Uint8Array],
      ["BOOL", Uint8Array],
    ] as const) {
      const bytes = new Uint8Array(array.from([...data].map(Math.round)).buffer);
      const typed = await bytesOf({ ...sources, [first]: { shape, dtype, pieces: () => [bytes] } });
      await refused(dtype, typed, hashWeights(weights), new RegExp(`has elements of type ${dtype}`));
    }
    writeFileSync(path, encodeSafetensors({ tensors: weights }));
    writeFileSync(described, sealedText(format, content));
    assert.is(hashWeights((await read(folder)).weights), content.hash);
  });
}

test("other weights of the same shapes are not the ones described", async () => {
  const { folder, weights: file = "", read } = await written["an autoencoder"]!();
  const { weights } = await read(folder);
  weights["encoder.in.bias"]!.data[0]! += 1e-7;
  writeFileSync(join(folder, file), encodeSafetensors({ tensors: weights }));
  await assert.rejects(readCodec(folder), /Cannot trust .*codec\.safetensors: its hash is not the one that .*codec\.json records/);
});

test("published autoencoders are exactly what their layers have", async () => {
  await taesdIn(writeTaesd(freshFolder()));
  const change = (part: string, make: (weights: Weights) => Weights) =>
    taesdIn(writeTaesd(freshFolder(), (each, weights) => (each === part ? make(weights) : weights)));
  const without = (name: string) => (weights: Weights) => Object.fromEntries(Object.entries(weights).filter(([key]) => key !== name));
  for (const [part, make, said] of [
    ["encoder", without("1.conv.2.bias"), /"encoder\.1\.conv\.2\.bias" is missing/],
    ["decoder", without("3.conv.0.weight"), /"decoder\.3\.conv\.0\.kernel" is missing/],
    ["encoder", (of: Weights) => ({ ...of, "1.conv.0.bias": vector(1) }), /"encoder\.1\.conv\.0\.bias" is \[1\] instead of \[8\]/],
    ["encoder", (of: Weights) => ({ ...of, "1.conv.6.weight": vector(1) }), /"encoder\.1\.conv\.6\.kernel" is unknown/],
    ["decoder", (of: Weights) => ({ ...of, "99.extra": vector(1) }), /layer "99" is neither/],
    ["decoder", (of: Weights) => ({ ...of, "1.bias": vector(1, 2, 3, 4, 5, 6, 7, Number.NaN) }), /tensor "1\.bias" is not finite/],
    ["encoder", (of: Weights) => ({ ...of, "2.weight": { shape: [8, 4, 3, 3], data: new Float32Array(288) } }), /"encoder\.2\.kernel" is/],
  ] as const) {
    const error = await assert.rejects(change(part, make), said);
    assert.ok(isFailure(error), error.stack);
  }
  const folder = writeTaesd(freshFolder());
  writeFileSync(join(folder, "tiny_encoder.safetensors"), "torn");
  assert.ok(isFailure(await assert.rejects(taesdIn(folder), /Cannot load weights from .*tiny_encoder/)));
});

test("feature networks are exactly what is measured with", async () => {
  const path = join(freshFolder(), "../features.safetensors");
  const weights = initBuiltin({ targets: 2 }, 1);
  const load = (tensors: Weights) => {
    writeFileSync(path, encodeSafetensors({ tensors }));
    return loadFeatureNetwork({ path, imageSize: 64 });
  };
  const { "head.kernel": _, "head.bias": __, ...headless } = weights;
  assert.is((await load(weights)).dimension, 64);
  assert.is((await load(headless)).dimension, 64);
  const { "norms.1.scale": ___, ...missing } = weights;
  for (const [tensors, said] of [
    [missing, /"norms\.1\.scale" is missing/],
    [{ ...weights, "convs.0.bias": vector(1) }, /"convs\.0\.bias" is \[1\] instead of \[32\]/],
    [{ ...weights, "convs.9.kernel": vector(1) }, /"convs\.9\.kernel" is unknown/],
    [{ ...weights, "convs.0.bias": vector(...Array(32).fill(Number.NaN)) }, /is not finite/],
  ] as [Weights, RegExp][]) {
    assert.ok(isFailure(await assert.rejects(load(tensors), said)));
  }
});

test.run();
