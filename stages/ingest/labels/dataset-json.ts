import { setImmediate } from "node:timers/promises";
import { displayName } from "../../../schemas/visible.ts";
import { parsed } from "../captions/jsonl.ts";
import { NOT_UTF8, textOf, withoutMark } from "../captions/text.ts";
import type { Found } from "../finder.ts";
import type { Entry } from "../listing.ts";
import type { Omissions } from "../omissions.ts";
import { folderOf } from "../names.ts";

/** Labels of EDM's and StyleGAN's dataset_tool: a file beside the images, or above them. */
export const DATASET_JSON = "dataset.json";

const largest = 2 ** 26; // bytes of a dataset.json: 64 MiB, of ImageNet 45
const deepest = 6; // brackets in brackets
const mostCommas = 3e6; // ImageNet has 2.6 million
const longestName = 200; // characters
const breath = 2 ** 13; // labels between two looks at the signal

/** What a dataset.json says of labels. */
export interface DatasetLabels {
  /** Of images by name; numbers are names in decimal. */
  labels: Map<Entry, string>;
  /** Whether all are whole numbers, whose order they keep. */
  areNumbers: boolean;
  /** Whether it is EDM's kind of file at all, with labels or without. */
  isKnown: boolean;
}

/**
 * The labels of a dataset.json: `{"labels": [["00000/img00000000.png", 6], ...]}`, an object of the same, or null. Names are
 * relative to its folder. What it says and is not taken goes to `omissions`.
 */
export async function datasetLabels(options: {
  file: Entry;
  bytes: Uint8Array;
  source: string;
  find: (name: string) => Found;
  omissions: Omissions;
  signal?: AbortSignal;
}): Promise<DatasetLabels> {
  const { file, bytes, source, find, omissions, signal } = options;
  const found: DatasetLabels = { labels: new Map(), areNumbers: true, isKnown: false };
  const blame = (reason: string, detail?: () => string) =>
    omissions.add({ kind: "labels", source, entry: file.name, reason, ...(detail && { detail }) });
  const content = contentOf(bytes);
  if (typeof content === "string") {
    blame(`dataset.json is not read: ${content}`);
    return found;
  }
  const { labels } = content;
  if (labels === null) return { ...found, isKnown: true };
  if (typeof labels !== "object") {
    blame("dataset.json is not read: it has no labels as EDM and StyleGAN write them");
    return found;
  }
  let pairs = 0;
  for (const pair of Array.isArray(labels) ? labels : pairsOf(labels)) {
    if (++pairs % breath === 0) {
      await setImmediate();
      signal?.throwIfAborted();
    }
    const [name, label] = Array.isArray(pair) ? (pair as unknown[]) : [];
    if (typeof name !== "string") {
      blame("dataset.json: a label without the name of an image");
      continue;
    }
    const named = className(label);
    const images = find(folderOf(file.name) + name);
    if (Array.isArray(images)) found.isKnown = true;
    if ("wrong" in named) blame(`dataset.json: ${named.wrong}`, () => `${named.wrong} (${displayName(name)})`);
    else if (images === "ambiguous") blame("several images are called so", () => `several images are called "${displayName(name)}"`);
    else if (!images) blame("no image is called so", () => `no image is called "${displayName(name)}"`);
    else {
      if (typeof label !== "number") found.areNumbers = false;
      for (const image of images) found.labels.set(image, named.name);
    }
  }
  return found;
}

function* pairsOf(labels: object | undefined): Generator<[string, unknown]> {
  for (const name of Object.keys(labels ?? {})) yield [name, (labels as { [name: string]: unknown })[name]];
}

/** The object in a file, or why there is none. A file that would take far more memory than its size is refused. */
function contentOf(bytes: Uint8Array): { [key: string]: unknown } | string {
  if (bytes.length > largest) return "it is larger than 64 MiB";
  let text: string | undefined;
  try {
    text = textOf(withoutMark(bytes));
  } catch (error) {
    return (error as Error).message;
  }
  if (text === undefined) return NOT_UTF8;
  let [depth, commas] = [0, 0];
  for (const byte of bytes) {
    if (byte === 0x5b || byte === 0x7b) depth++;
    else if (byte === 0x5d || byte === 0x7d) depth--;
    else if (byte === 0x2c) commas++;
    if (depth > deepest || commas > mostCommas) return "it is no list of names and labels, or one of more than 1.5 million";
  }
  return parsed(text) ?? "it is not a JSON object";
}

function className(label: unknown): { name: string } | { wrong: string } {
  if (typeof label === "number" && Number.isSafeInteger(label) && label >= 0) return { name: String(label) };
  if (typeof label === "string" && label !== "" && label.length <= longestName) return { name: label };
  if (Array.isArray(label)) return { wrong: "a label is a vector, where a class is one whole number" };
  return { wrong: "a label is no class: expected a whole number from 0 on, or a name" };
}
