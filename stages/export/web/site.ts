/** Writes a site around exported models: the page, its code, and ONNX Runtime for browsers. Any file server can host the folder. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../../../schemas/failure.ts";
import { integers } from "../../../schemas/numbers/philox.ts";
import { type OnestepJson, onestepJson } from "../../../schemas/onestep-json.ts";
import { packageText, version } from "../../../schemas/package.ts";
import { bytesInWords } from "../../../schemas/words.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";
import { lean, modulesOf } from "./code.ts";
import type { Asset, Device, Runtime, Site } from "./messages.ts";
import { pageOf } from "./page.ts";
import { publishedTokenizers, runtimeFiles } from "./runtime.ts";

/** Folders of a site's models, each with onestep.json and its graphs: what `export --format onnx` writes. */
export const modelFolders = { student: "model", teacher: "teacher" } as const;

const examples = 4; // captions to begin with
const browser = "stages/export/web/browser";
const mostBytes = 2 ** 31 - 1; // of one file: browsers give no more memory in one piece

/**
 * Writes the page and what it needs into `out`, where the models lie already, the student's and perhaps its teacher's. Answers the bytes
 * of this project's own files: page, style and code. Throws a Failure where a model cannot be drawn with in a browser, or ONNX Runtime's
 * files are absent.
 */
export async function writeSite({ out, title }: { out: string; title: string }): Promise<{ ownBytes: number; site: Site }> {
  const model = await readModel(join(out, modelFolders.student));
  const hasTeacher = existsSync(join(out, modelFolders.teacher, "onestep.json"));
  const teacher = hasTeacher ? await readModel(join(out, modelFolders.teacher)) : undefined;
  const modules = await modulesOf([`${browser}/page`, `${browser}/worker`]);
  const worker = (await modulesOf([`${browser}/sw`])).get(`${browser}/sw.js`) as string;
  const code = [...modules.keys()].map((path) => `code/${path}`);

  const [wasm, webgpu] = [await writeRuntime(out, "wasm"), await writeRuntime(out, "webgpu")];
  const needsPublished = [model, teacher].some((each) => each && readsPublished(each));
  const place = "tokenizers/tokenizers.js";
  if (needsPublished) await writeAtomic(join(out, place), await publishedTokenizers());
  const site: Site = {
    version: version(),
    models: { student: `${modelFolders.student}/`, ...(hasTeacher && { teacher: `${modelFolders.teacher}/` }) },
    runtimes: { wasm, webgpu },
    ...(needsPublished && { tokenizers: place }),
  };
  const page = pageOf({
    model,
    teacher,
    title,
    captions: examplesOf(model),
    version: version(),
    modules: code.filter((path) => !path.endsWith("/worker.js")),
    entry: `code/${browser}/page.js`,
  });
  const own: Record<string, string> = {
    "index.html": page,
    "page.css": await lean(packageText("stages/export/web/page.css"), "css"),
    "sw.js": worker,
    "site.json": `${JSON.stringify(site, null, 2)}\n`,
    ...Object.fromEntries([...modules].map(([path, text]) => [`code/${path}`, text])),
  };
  const descriptions = [model, teacher].flatMap((each, i) => (each ? filesOf(each, Object.values(modelFolders)[i] as string) : []));
  const kept = ["./", ...Object.keys(own).filter((path) => path !== "sw.js"), ...descriptions];
  if (needsPublished) kept.push(place);
  kept.push(...[wasm, webgpu].flatMap(({ script, loader }) => [script, loader]));
  for (const [path, text] of Object.entries(own)) await writeAtomic(join(out, path), text);
  await writeAtomic(join(out, "files.json"), `${JSON.stringify(kept, null, 2)}\n`); // what the service worker keeps
  return { ownBytes: Object.values(own).reduce((sum, text) => sum + Buffer.byteLength(text), 0), site };
}

async function readModel(folder: string): Promise<OnestepJson> {
  const path = join(folder, "onestep.json");
  const found = onestepJson.safeParse(JSON.parse(await readFile(path, "utf8")));
  if (!found.success) throw new Failure(`Cannot use ${path}: ${found.error.issues[0]?.message}. Export the model again.`);
  const { name, graphs } = found.data;
  const largest = Math.max(...Object.values(graphs).map((graph) => graph?.data?.bytes ?? graph?.bytes ?? 0));
  if (largest <= mostBytes) return found.data;
  throw new Failure(
    `Cannot export ${name} as a web page: a file of its weights has ${bytesInWords(largest)}, and a browser holds ` +
      `${bytesInWords(mostBytes)}. Use --precision half, or --format onnx, and run it with onnxruntime-node.`,
  );
}

const readsPublished = ({ condition }: OnestepJson): boolean =>
  "tokenizers" in condition && condition.tokenizers.some(({ kind }) => kind === "huggingface");

/** Small files of a model's folder. */
function filesOf({ condition }: OnestepJson, folder: string): string[] {
  const tokenizers = "tokenizers" in condition ? condition.tokenizers.map(({ file }) => file) : [];
  return ["onestep.json", ...tokenizers].map((file) => `${folder}/${file}`);
}

async function writeRuntime(out: string, device: Device): Promise<Runtime> {
  const { script, loader, program } = await runtimeFiles(device);
  const place = (name: string): string => `ort/${name}`;
  for (const { name, content } of [script, loader, program]) await writeAtomic(join(out, place(name)), content);
  const asset: Asset = {
    file: place(program.name),
    bytes: program.content.length,
    sha256: createHash("sha256").update(program.content).digest("hex"),
  };
  return { script: place(script.name), loader: place(loader.name), program: asset };
}

/** Some of the captions that the model was exported with, drawn without a preference. */
function examplesOf({ condition }: OnestepJson): string[] {
  if (!("captions" in condition) || condition.captions.length === 0) return [];
  const { captions } = condition;
  const drawn = integers({ seed: 0, stream: "examples", length: 64, below: captions.length });
  return [...new Set(Array.from(drawn, (i) => captions[i] as string))].slice(0, examples);
}
