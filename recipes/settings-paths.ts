/** The settings schema as a list of dotted paths, each with what it accepts in words. */
import * as z from "zod";
import { settingsSchema } from "./settings.ts";

interface Node {
  type?: string;
  properties?: Record<string, Node>;
  items?: Node;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Node[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  pattern?: string;
}

let tree: Node | undefined;

/** The node at a path, or undefined where the schema has none. */
function nodeAt(path: readonly PropertyKey[]): Node | undefined {
  tree ??= z.toJSONSchema(settingsSchema, { io: "input" }) as Node;
  return path.reduce<Node | undefined>((node, key) => (typeof key === "number" ? node?.items : node?.properties?.[String(key)]), tree);
}

/** Every path that holds a value, such as "simulate.count", and every group, such as "simulate". */
export function settingPaths(prefix = ""): string[] {
  const properties = nodeAt(prefix === "" ? [] : prefix.split("."))?.properties ?? {};
  return Object.keys(properties).flatMap((key) => {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    return [path, ...settingPaths(path)];
  });
}

/** True where the schema wants text, so that `#fff000` or `007` stays what was typed. */
export function wantsText(path: string): boolean {
  return nodeAt(path.split("."))?.type === "string";
}

/** The names that the schema has to choose from at a path; none where it takes anything else. */
export function choicesAt(path: string): string[] {
  return (nodeAt(path.split("."))?.enum ?? []).map(String);
}

/** What the schema accepts at a path, to end the sentence "expected ...". */
export function expectation(path: readonly PropertyKey[]): string {
  const node = nodeAt(path);
  return node === undefined ? "nothing" : inWords(node);
}

function inWords(node: Node): string {
  const choices = node.enum ?? node.anyOf?.map((option) => option.const);
  if (choices) return `one of ${choices.map((choice) => JSON.stringify(choice)).join(", ")}`;
  if (node.properties) return `a group of settings (${Object.keys(node.properties).join(", ")})`;
  if (node.items) return `a list, each ${inWords(node.items)}`;
  if (node.pattern) return `text such as ${JSON.stringify(node.default)}`;
  if (node.type === "string") return "text";
  if (node.type === "boolean") return "true or false";
  const kind = node.type === "integer" ? "a whole number" : "a number";
  if (node.exclusiveMinimum !== undefined) return `${kind} above ${node.exclusiveMinimum}`;
  if (node.minimum === undefined) return kind;
  const unbounded = node.maximum === undefined || node.maximum === Number.MAX_SAFE_INTEGER;
  return unbounded ? `${kind} of at least ${node.minimum}` : `${kind} from ${node.minimum} to ${node.maximum}`;
}
