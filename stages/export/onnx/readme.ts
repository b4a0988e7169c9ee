/** README.md beside exported graphs: what they are, and the lines that draw with them in Python and JavaScript. */
import type { OnestepJson } from "../../../schemas/onestep-json.ts";
import { elements } from "../../../engine/weights.ts";

/** The text, in Markdown. */
export function readmeOf(json: OnestepJson): string {
  const { name, weights, madeBy, licence, opset, parity, precision } = json;
  const worst = Math.max(...parity.differences.map(({ image }) => image));
  return [
    `# ${name}`,
    "",
    `ONNX graphs of opset ${opset}, ONNX's own operators alone, ${WEIGHTS[precision]}, ` +
      `any batch. \`onestep.json\` says all of it: ports, ${stepsInWords(json)}, hashes; the largest difference of a picture from ` +
      `onestep's own is ${worst.toPrecision(2)} of 2.`,
    ...(json.condition.kind === "tokens"
      ? ["", "It draws the image whose tokens it is given; those below are all 0. `pipeline tokenize` makes an image's own."]
      : []),
    ...(json.sampler.kind === "loop" && hasMore(json)
      ? ["", "Its loop has memories or bounds, which the lines below leave out: onestep.json names them all."]
      : []),
    "",
    "```python",
    ...inPython(json),
    "```",
    "",
    "```js",
    ...inJavaScript(json),
    "```",
    "",
    `Weights ${weights.slice(0, 12)}, written by ${madeBy}. Licence: ${licence}.`,
    "",
  ].join("\n");
}

const WEIGHTS = { single: "float32", half: "float16 weights and float32 arithmetic" };

function stepsInWords({ sampler }: OnestepJson): string {
  return sampler.kind === "direct" ? "one call from noise to the latent" : `the levels of ${Object.keys(sampler.loops).join(", ")} calls`;
}

/** Whether a loop is more than the lines below do. */
function hasMore({ sampler }: OnestepJson): boolean {
  if (sampler.kind === "direct") return false;
  return Object.values(sampler.loops).some(({ stages }) => stages.some(({ clipped, memories }) => clipped !== 0 || memories.length > 0));
}

/** The caption that both examples ask for, as a literal. */
const captionOf = ({ condition }: OnestepJson): string =>
  JSON.stringify(("captions" in condition ? condition.captions[0] : undefined) ?? "a red boat");

/** How many tokens an image has that is drawn from them. */
const tokensOf = ({ condition }: OnestepJson): number => (condition.kind === "tokens" ? condition.grid[0] * condition.grid[1] : 0);

/** Those of captions; none of other conditions. */
const tokenizersOf = ({ condition }: OnestepJson) => ("tokenizers" in condition ? condition.tokenizers : []);

/** Whether captions are read by the tokenizers that a pipeline was published with. */
const isPublished = (json: OnestepJson): boolean => tokenizersOf(json).some(({ kind }) => kind === "huggingface");

function inPython(json: OnestepJson): string[] {
  const { condition, sampler, latent, image } = json;
  const [h, w, c] = latent;
  const tokens = `"tokens": np.zeros((1, ${tokensOf(json)}), "int32")`;
  const conditions = { none: [], class: ['"label": np.int32([0])'], tokens: [tokens], caption: ["**features"] }[condition.kind];
  const given = (...own: string[]): string => `{${[...own, ...conditions].join(", ")}}`;
  const prior = priorOf(json);
  const readsText = tokenizersOf(json).length > 0;
  const unit = `np.random.randn(1, ${h}, ${w}, ${c}).astype("float32")`;
  const direct = [`latent = generator.run(None, ${given('"noise": noise', ...(prior ? [`"prior": ${unit}`] : []))})[0]`];
  const loop = [
    'sampler = json.load(open("onestep.json"))["sampler"]',
    'loop = sampler["loops"][str(sampler["calls"])]',
    'latent = np.float32(loop["start"]) * noise',
    ...(prior ? ['mean, std = np.float32(sampler["prior"]["mean"]), np.float32(sampler["prior"]["std"])'] : []),
    ...(prior ? [`latent = latent + mean + std * ${unit}`] : []),
    'for step in loop["stages"]:',
    `    clean = generator.run(None, ${given('"x": latent', '"level": np.float32(step["level"])')})[0]`,
    `    latent = step["state"] * latent + step["denoised"] * clean + step["fresh"] * ${unit}`,
    '    latent = latent.astype("float32")',
  ];
  return [
    ...(sampler.kind === "loop" || isPublished(json) ? ["import json"] : []),
    "import numpy as np, onnxruntime as ort",
    ...(readsText ? [isPublished(json) ? "from tokenizers import Tokenizer" : "from tokenizer import encode"] : []),
    `generator, decoder = ort.InferenceSession("generator.onnx"), ort.InferenceSession("decoder.onnx")`,
    ...(readsText ? textInPython(json) : []),
    `noise = ${unit}`,
    ...(sampler.kind === "direct" ? direct : loop),
    'image = decoder.run(None, {"latent": latent})[0][0]',
    'pixels = ((image + 1) * 127.5).round().astype("uint8")',
    `open("picture.ppm", "wb").write(b"P6 ${image.width} ${image.height} 255\\n" + pixels.tobytes())`,
  ];
}

/** From a caption to `features`: by tokenizer.py, or by the tokenizers that a pipeline was published with. */
function textInPython(json: OnestepJson): string[] {
  const names = (json.graphs.text?.outputs ?? []).map(({ name }) => JSON.stringify(name)).join(", ");
  const own = [`given = {"tokens": encode([${captionOf(json)}])}`];
  const published = [
    "given = {}",
    'for told in json.load(open("onestep.json"))["condition"]["tokenizers"]:',
    `    ids, most = Tokenizer.from_file(told["file"]).encode(${captionOf(json)}).ids, told["length"]`,
    '    ids = ids if len(ids) <= most else [*ids[: most - 1], told["end"]]',
    '    given[told["input"]] = np.int32([ids + [told["padding"]] * (most - len(ids))])',
    '    if "mask" in told: given[told["mask"]] = np.float32([[1] * len(ids) + [0] * (most - len(ids))])',
  ];
  const lines = isPublished(json) ? published : own;
  return [...lines, `features = dict(zip([${names}], ort.InferenceSession("text.onnx").run([${names}], given)))`];
}

/** The same in JavaScript. */
function textInJavaScript(json: OnestepJson): string[] {
  const [told] = tokenizersOf(json);
  const own = [
    `const ids = createTokenizer(JSON.parse(readFileSync("${told?.file}", "utf8"))).encode(${captionOf(json)}, ${told?.length});`,
    `const given = { ${told?.input}: new Tensor("int32", ids, [1, ${told?.length}]) };`,
  ];
  const published = [
    "const given = {};",
    'for (const told of JSON.parse(readFileSync("onestep.json", "utf8")).condition.tokenizers) {',
    `  let { ids } = new Tokenizer(JSON.parse(readFileSync(told.file, "utf8")), {}).encode(${captionOf(json)});`,
    "  if (ids.length > told.length) ids = [...ids.slice(0, told.length - 1), told.end];",
    "  const row = Array.from({ length: told.length }, (_, i) => ids[i] ?? told.padding);",
    '  given[told.input] = new Tensor("int32", row, [1, told.length]);',
    '  if (told.mask) given[told.mask] = new Tensor("float32", row.map((_, i) => (i < ids.length ? 1 : 0)), [1, told.length]);',
    "}",
  ];
  return [...(isPublished(json) ? published : own), 'const features = await (await InferenceSession.create("text.onnx")).run(given);'];
}

const priorOf = ({ sampler, graphs }: OnestepJson): boolean =>
  sampler.kind === "loop" ? sampler.prior !== undefined : graphs.generator.inputs.some(({ name }) => name === "prior");

function inJavaScript(json: OnestepJson): string[] {
  const { condition, sampler, latent, image } = json;
  const shape = `[1, ${latent.join(", ")}]`;
  const channels = latent[2];
  const size = elements(latent);
  const label = 'label: new Tensor("int32", [0], [1])';
  const tokens = `tokens: new Tensor("int32", new Int32Array(${tokensOf(json)}), [1, ${tokensOf(json)}])`;
  const conditions = { none: [], class: [label], tokens: [tokens], caption: ["...features"] }[condition.kind];
  const given = (...own: string[]): string => `{ ${[...own, ...conditions].join(", ")} }`;
  const prior = priorOf(json);
  const readsText = tokenizersOf(json).length > 0;
  const direct = [`const { latent } = await generator.run(${given("noise: unit()", ...(prior ? ["prior: unit()"] : []))});`];
  const loop = [
    "const loop = sampler.loops[sampler.calls];",
    `let latent = unit();`,
    prior
      ? `const begin = unit().data.map((n, i) => sampler.prior.mean[i % ${channels}] + sampler.prior.std[i % ${channels}] * n);`
      : undefined,
    `latent = new Tensor(latent.data.map((n, i) => loop.start * n${prior ? " + begin[i]" : ""}), latent.dims);`,
    "for (const { level, state, denoised, fresh } of loop.stages) {",
    `  const clean = (await generator.run(${given("x: latent", 'level: new Tensor("float32", level, [4])')})).latent;`,
    "  const noise = unit().data;",
    "  latent = new Tensor(latent.data.map((x, i) => state * x + denoised * clean.data[i] + fresh * noise[i]), latent.dims);",
    "}",
  ].flatMap((line) => line ?? []);
  const tokenizer = isPublished(json)
    ? 'import { Tokenizer } from "@huggingface/tokenizers";'
    : 'import { createTokenizer } from "onestep/models/text/tokenizer";';
  return [
    'import { readFileSync, writeFileSync } from "node:fs";',
    'import { InferenceSession, Tensor } from "onnxruntime-node";',
    ...(readsText ? [tokenizer] : []),
    'const [generator, decoder] = [await InferenceSession.create("generator.onnx"), await InferenceSession.create("decoder.onnx")];',
    ...(sampler.kind === "loop" ? ['const { sampler } = JSON.parse(readFileSync("onestep.json", "utf8"));'] : []),
    ...(readsText ? textInJavaScript(json) : []),
    "const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());",
    `const unit = () => new Tensor(Float32Array.from({ length: ${size} }, normal), ${shape});`,
    ...(sampler.kind === "direct" ? direct : loop),
    "const { image } = await decoder.run({ latent });",
    "const pixels = Uint8ClampedArray.from(image.data, (value) => (value + 1) * 127.5);",
    `writeFileSync("picture.ppm", Buffer.concat([Buffer.from("P6 ${image.width} ${image.height} 255\\n"), Buffer.from(pixels)]));`,
  ];
}
