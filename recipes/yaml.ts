/** YAML as people give it: parsed with limits, and each value's own text kept for what is said about it. */
import { open } from "node:fs/promises";
import { type Document, isScalar, parseDocument, visit } from "yaml";

/** Settings are a few kilobytes: a longer file is another one, or has no end. */
const MOST_BYTES = 2 ** 20;

/** What a YAML text says. */
export interface Yaml {
  values: unknown;
  /** The text of the plain number or word at a path, as it was typed: a number may have lost digits. */
  textAt: (path: readonly PropertyKey[]) => string | undefined;
}

/** Parses one document. Throws an Error of one line for what is no YAML, keys given twice, and aliases that multiply without bounds. */
export function parseYaml(text: string): Yaml {
  const document = parseDocument(text, { logLevel: "error" });
  const [error] = document.errors;
  if (error) throw new Error(error.message.split("\n")[0]?.replace(/:$/, ""));
  visit(document, {
    Scalar: (_, node) => {
      if (Object.is(node.value, -0)) node.value = 0; // equal to 0, and would not be written as it
    },
  });
  return { values: document.toJS({ maxAliasCount: 100 }), textAt: (path) => textAt(document, path) };
}

/** The text of a file of settings. Throws an Error for one that is too long, or not UTF-8, and those of the system. */
export async function readYamlFile(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const bytes = Buffer.alloc(MOST_BYTES + 1);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > MOST_BYTES) throw new Error("it is longer than 1 MiB, so it holds something else than settings");
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length));
    } catch {
      throw new Error("it is not UTF-8; save it as that");
    }
  } finally {
    await file.close();
  }
}

function textAt(document: Document, path: readonly PropertyKey[]): string | undefined {
  try {
    const node = path.length === 0 ? document.contents : document.getIn(path, true);
    return isScalar(node) && typeof node.value === "number" ? node.source : undefined;
  } catch {
    return undefined; // the path leads through an alias or a scalar
  }
}
