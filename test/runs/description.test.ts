/** Descriptions of networks: whatever is changed in one is noticed, and sentences say what. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isFailure } from "../../schemas/failure.ts";
import { sealedText } from "../../schemas/seal.ts";
import { readCodec, readDenoiser } from "../../stages/runs/model.ts";
import { freshFolder } from "../simulate/fixture.ts";
import { assert, suite } from "../harness.ts";
import { type Written, written } from "./networks.ts";

const test = suite("descriptions");

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Path = (string | number)[];

/** Every place of a value that holds no further values, and every list and object that holds none. */
function leaves(value: Json, at: Path = []): Path[] {
  if (value === null || typeof value !== "object" || Object.keys(value).length === 0) return [at];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...at, Array.isArray(value) ? Number(key) : key]));
}

/** A value a little beside the one that stands there: what a hand may change without anyone's eye noticing. */
function beside(value: Json): Json {
  if (typeof value === "number") return Number.isInteger(value) ? value + 1 : value * 1.0000001;
  if (typeof value === "string") return value.slice(0, -1) + String.fromCharCode(value.charCodeAt(value.length - 1) ^ 1);
  if (Array.isArray(value)) return [...value, "one more"];
  return value === null ? 0 : typeof value === "boolean" ? !value : { more: 1 };
}

/** The same JSON with another value at a place; without the place at all where there is no other. */
function changed(json: Json, [first, ...rest]: Path, change: (value: Json) => Json | undefined): Json {
  if (first === undefined) return change(json) as Json;
  const copy = structuredClone(json) as Record<string | number, Json>;
  const inner = rest.length > 0 ? changed(copy[first] as Json, rest, change) : change(copy[first] as Json);
  if (inner !== undefined) copy[first] = inner;
  else if (Array.isArray(copy)) copy.splice(Number(first), 1);
  else delete copy[first];
  return copy as Json;
}

/** The keys of every object in the other order. */
function turned(json: Json): Json {
  if (Array.isArray(json)) return json.map(turned);
  if (json === null || typeof json !== "object") return json;
  return Object.fromEntries(
    Object.entries(json)
      .reverse()
      .map(([key, value]) => [key, turned(value)]),
  );
}

/** The description's text, and a way to read the network with another one. */
async function opened(write: () => Promise<Written>) {
  const { folder, file, read } = await write();
  const path = join(folder, file);
  const text = readFileSync(path, "utf8");
  const readAs = async (other: string) => {
    writeFileSync(path, other);
    try {
      return await read(folder);
    } finally {
      writeFileSync(path, text);
    }
  };
  const refused = async (other: string, what: string): Promise<Error> => {
    const error = await readAs(other).then(
      () => undefined,
      (reason: Error) => reason,
    );
    assert.ok(error, `${what}: it was read`);
    assert.ok(isFailure(error), `${what}: ${error.stack}`);
    assert.ok(error.message.includes(path), `${what}: ${error.message}`);
    assert.not.ok(error.message.includes("\n"), error.message);
    return error;
  };
  return { folder, path, text, json: JSON.parse(text) as { [key: string]: Json }, readAs, refused };
}

for (const [name, write] of Object.entries(written)) {
  test(`${name}: whatever value is changed a little, left out or added, it is refused`, async () => {
    const { json, refused } = await opened(write);
    const places = leaves(json);
    assert.ok(places.length > 6);
    for (const place of places) {
      await refused(JSON.stringify(changed(json, place, beside)), `changed ${place.join(".")}`);
      await refused(JSON.stringify(changed(json, place, () => undefined)), `left out ${place.join(".")}`);
      const around = place.slice(0, -1);
      const more = changed(json, around, (value) =>
        Array.isArray(value) ? [...value, value.at(-1) as Json] : { ...(value as object), more: 1 },
      );
      await refused(JSON.stringify(more), `added to ${around.join(".")}`);
    }
  });

  test(`${name}: neither white space nor the order of keys is a change`, async () => {
    const { json, readAs } = await opened(write);
    const { description } = await readAs(JSON.stringify(json, null, 2));
    for (const other of [JSON.stringify(json), JSON.stringify(turned(json), null, "\t")]) {
      assert.equal((await readAs(other)).description, description);
    }
  });
}

const [teacher] = Object.values(written) as [() => Promise<Written>];

test("what is no description at all is told in a sentence", async () => {
  const { text, json, refused } = await opened(teacher);
  const cut = await refused(text.slice(0, 100), "cut off");
  assert.match(cut.message, /^Cannot read .*model\.json: it is not JSON/);
  for (const other of ["", "null", "[]", "3", '"text"', "{}", "\u0000"]) await refused(other, JSON.stringify(other));
  await refused(`${"[".repeat(200_000)}${"]".repeat(200_000)}`, "nested lists");
  const deep = text.replace('"onestep-tokenizer/1"', `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`);
  await refused(deep, "nested objects");
  assert.match((await refused(JSON.stringify({ ...json, version: 3 }), "a later version")).message, /has version 3.*Update onestep/);
  for (const version of [0, -1, 1.5, "2", null, [2]]) await refused(JSON.stringify({ ...json, version }), `version ${version}`);
  const { seal: _, ...unsealed } = json;
  assert.match((await refused(JSON.stringify(unsealed), "no seal")).message, /^Cannot trust .*it carries no seal/);
  assert.match((await refused(JSON.stringify({ ...json, captions: [] }), "other captions")).message, /does not fit its seal/);
});

/** The description as version 1 had it. */
const old = ({ seal: _, ...json }: { [key: string]: Json }): { [key: string]: Json } => ({ ...json, version: 1 });

test("descriptions of version 1 are read with a warning, once each", async () => {
  const { folder, path, json, readAs } = await opened(teacher);
  const described = (await readDenoiser(folder)).description;
  writeFileSync(path, JSON.stringify(old(json)));
  const warnings: string[] = [];
  const report = (event: { type: string; message?: unknown }) => void (event.type === "warning" && warnings.push(String(event.message)));
  for (const _ of [1, 2]) assert.equal((await readDenoiser(folder, { report })).description, described);
  assert.is(warnings.length, 1);
  assert.ok(warnings[0]!.includes(path) && warnings[0]!.includes("no seal"), warnings[0]);
  assert.equal((await readAs(JSON.stringify(old(json)))).description, described);

  const { format: _, version: __, seal: ___, ...codec } = JSON.parse(readFileSync(join(folder, "codec.json"), "utf8"));
  writeFileSync(join(folder, "codec.json"), JSON.stringify(codec));
  assert.equal((await readCodec(folder, { report })).description, codec);
  assert.is(warnings.length, 2);
});

test("a teacher of version 1 is held against the settings beside it", async () => {
  const { folder, path, json, refused, readAs } = await opened(teacher);
  writeFileSync(path, JSON.stringify(old(json)));
  const { network, diffusion } = json.spec as { network: { [key: string]: Json }; diffusion: { [key: string]: Json } };
  const settings = join(folder, "settings.yaml"); // JSON is YAML
  writeFileSync(settings, JSON.stringify({ seed: 1, network, diffusion }));
  await readDenoiser(folder);
  for (const place of leaves({ diffusion, network })) {
    const error = await refused(JSON.stringify(changed(old(json), ["spec", ...place], beside)), place.join("."));
    assert.match(error.message, place[0] === "network" ? /spec\.network\.\w+/ : `spec.diffusion.${place[1]}: `);
  }
  for (const text of ["", "[]", "network: 3", "}{", "seed: 1"]) {
    writeFileSync(settings, text); // settings that say nothing of it are no reason to refuse
    await readDenoiser(folder);
  }
  const other = JSON.stringify(changed(old(json), ["spec", "diffusion", "sigmaMax"], beside));
  rmSync(settings);
  await readAs(other);
  writeFileSync(settings, JSON.stringify({ network, diffusion })); // beside a student stand the settings of its own training
  await refused(other, "a teacher");
  await readAs(other.replace('"role":"teacher"', '"role":"student"'));
});

test("numbers that cannot be are refused by key, whoever computed the seal", async () => {
  const { json, refused } = await opened(teacher);
  const { format, version: _, seal: __, ...content } = json;
  for (const [place, value, told] of [
    [["spec", "network", "depth"], 1e9, "spec.network.depth"],
    [["spec", "network", "depth"], 0, "spec.network.depth"],
    [["spec", "network", "textDepth"], 1e9, "spec.network.textDepth"],
    [["spec", "network", "heads"], 3, "spec.network.heads"],
    [["spec", "network", "patch"], 3, "spec.network.patch"],
    [["spec", "network", "width"], 1e9, "weights.safetensors"],
    [["spec", "network", "captionTokens"], 1e12, "weights.safetensors"],
    [["spec", "network", "kind"], "unet", "weights.safetensors"],
    [["spec", "network", "condition"], "none", "weights.safetensors"],
    [["spec", "shape"], [8, 8, 4], "statistics.mean"],
    [["spec", "shape"], [16, 8, 3], "weights.safetensors"],
    [["spec", "vocabulary"], 1e9, "spec.vocabulary"],
    [["spec", "diffusion", "sigmaData"], 0, "spec.diffusion.sigmaData"],
    [["statistics", "mean"], [2, 0, 0], "statistics.mean.0"],
    [["statistics", "std"], [0.1, 0.1, 3], "statistics.std.2"],
    [["statistics", "std"], [0.1, 0.1], "statistics.std"],
    [["tokenizer", "merges"], [["a"]], "tokenizer.merges.0"],
    [["hash"], "pixel", "hash"],
    [["role"], "perceptual", "role"],
  ] as [Path, Json, string][]) {
    const text = sealedText(format as string, changed(content, place, () => value) as object);
    assert.match((await refused(text, `${place.join(".")} ${value}`).catch(weightsFile)).message, told);
  }

  /** What is wrong only with the weights is told of their file. */
  function weightsFile(error: Error): Error {
    if (error.message.includes("weights.safetensors")) return error;
    throw error;
  }
});

test("a U-Net of impossible levels is refused by key", async () => {
  const { json, refused } = await opened(written["a U-Net"]!);
  const { format, version: _, seal: __, ...content } = json;
  for (const [key, value] of [
    ["depth", 1e9],
    ["multipliers", Array(40).fill(1)],
    ["multipliers", []],
    ["multipliers", [1, 1, 1, 1, 1]],
    ["heads", 5],
  ] as [string, Json][]) {
    const text = sealedText(format as string, changed(content, ["spec", "network", key], () => value) as object);
    assert.match((await refused(text, key)).message, `spec.network.${key}`);
  }
});

test("a sampler that is not one of its network is refused by key", async () => {
  const { json, refused, readAs } = await opened(written["a student with classes"]!);
  const { format, version: _, seal: __, ...content } = json;
  const as = (sampler: Json) => sealedText(format as string, { ...content, sampler } as object);
  const sound = { times: [80, 6, 0.002], between: "renoise", guidance: 1, choices: { 1: [80], 2: [80, 1] } };
  await readAs(as(sound));
  await readAs(as({ ...sound, times: "any", prior: { mean: [0, 0, 0], std: [1, 1, 1] } }));
  for (const [change, told] of [
    [{ times: [6, 6] }, "sampler.times: noise levels must fall, and 6 follows 6"],
    [{ times: [1, 6] }, "sampler.times: noise levels must fall"],
    [{ times: [81] }, "sampler.times: 81 is not between the network's noise levels, 0.002 and 80"],
    [{ times: [80, 0] }, "sampler.times: 0 is not between"],
    [{ times: [] }, "sampler.times"],
    [{ choices: { 3: [80, 6] } }, "sampler.choices.3: it names 2 noise levels"],
    [{ choices: { 2: [1, 80] } }, "sampler.choices.2: noise levels must fall"],
    [{ prior: { mean: [0, 0], std: [1, 1, 1] } }, "sampler.prior.mean: 2 numbers for 3 channels"],
    [{ prior: { mean: [0, 0, 0], std: [1] } }, "sampler.prior.std: 1 numbers for 3 channels"],
  ] as [{ [key: string]: Json }, string][]) {
    assert.match((await refused(as({ ...sound, ...change }), JSON.stringify(change))).message, told);
  }
});

test("a model beside another codec is refused, and a codec of another store", async () => {
  const { folder } = await opened(teacher);
  const other = { kind: "pixel", imageSize: 16, shape: [16, 16, 3], hash: "pixel" };
  writeFileSync(join(folder, "codec.json"), sealedText("onestep-codec", other));
  await assert.rejects(readDenoiser(folder), /reads latents of 8x8x3, and the codec\.json beside it makes latents of 16x16x3/);

  const store = freshFolder();
  mkdirSync(store);
  writeFileSync(join(store, "codec.json"), sealedText("onestep-codec", other));
  const manifest = { kind: "latents", shape: [16, 16, 3], imageSize: 16, encoder: { kind: "pixel", hash: "pixel", background: "#ffffff" } };
  for (const [change, message] of [
    [{}, undefined],
    [{ imageSize: 32 }, /not the codec of the store.*imageSize: 16 instead of 32/],
    [{ encoder: { kind: "taesd", hash: "0" } }, /encoder\.kind: "pixel" instead of "taesd"/],
    [{ kind: "triples", shape: [8, 8, 3] }, /shape: \[16,16,3\] instead of \[8,8,3\]/],
  ] as const) {
    writeFileSync(join(store, "store.json"), JSON.stringify({ ...manifest, ...change }));
    if (message) await assert.rejects(readCodec(store), message);
    else await readCodec(store);
  }
});

test.run();
