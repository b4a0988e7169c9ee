/** The settings schema as a list of dotted paths, each with what it accepts in words. */
import * as z from "zod";
import { isGroup } from "./merge.ts";
import { settingsSchema } from "./settings.ts";

interface Node {
  type?: string;
  properties?: Record<string, Node>;
  items?: Node;
  prefixItems?: Node[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Node[];
  default?: unknown;
  minItems?: number;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  pattern?: string;
  examples?: readonly unknown[];
}

let tree: { of: typeof settingsSchema; node: Node } | undefined; // of the schema as it was when it was last asked

/** The node at a path, or undefined where the schema has none. */
function nodeAt(path: readonly PropertyKey[]): Node | undefined {
  if (tree?.of !== settingsSchema) tree = { of: settingsSchema, node: z.toJSONSchema(settingsSchema, { io: "input" }) as Node };
  return path.reduce<Node | undefined>((node, key) => node && below(node, key), tree.node);
}

/** The node below another one: an item of a list, a key of a group, or that of whichever alternative has it. */
function below(node: Node, key: PropertyKey): Node | undefined {
  if (typeof key === "number") return node.prefixItems?.[key] ?? node.items;
  const own = node.properties?.[String(key)];
  return own ?? node.anyOf?.map((option) => below(option, key)).find(Boolean);
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

/** The values that the schema has to choose from at a path, as they are typed; none where it takes anything else. */
export function choicesAt(path: string): string[] {
  const node = nodeAt(path.split("."));
  return (node?.type === "boolean" ? [true, false] : (namesOf(node) ?? [])).map(String);
}

/** Everything that `--set` takes, as far as it can be listed: `path=value` for each choice, and `path=` where anything may follow. */
export function assignments(): string[] {
  const paths = settingPaths();
  const groups = new Set(paths.map((path) => path.slice(0, Math.max(0, path.lastIndexOf(".")))));
  return paths
    .filter((path) => !groups.has(path))
    .flatMap((path) => {
      const choices = choicesAt(path);
      return choices.length > 0 ? choices.map((choice) => `${path}=${choice}`) : `${path}=`;
    });
}

/** What the schema accepts at a path, to end the sentence "expected ...". */
export function expectation(path: readonly PropertyKey[]): string {
  const node = nodeAt(path);
  return node === undefined ? "nothing" : inWords(node);
}

/** What a node lists to choose from; undefined where it takes more than names. */
function namesOf(node?: Node): unknown[] | undefined {
  if (node?.enum) return node.enum;
  return node?.anyOf?.every((option) => option.const !== undefined) ? node.anyOf.map((option) => option.const) : undefined;
}

function inWords(node: Node): string {
  const choices = namesOf(node);
  if (choices) return `one of ${choices.map((choice) => JSON.stringify(choice)).join(", ")}`;
  if (node.properties) return `a group of settings (${Object.keys(node.properties).join(", ")})`;
  if (node.anyOf)
    return node.anyOf.map((option) => (option.const === undefined ? inWords(option) : JSON.stringify(option.const))).join(", or ");
  if (node.prefixItems) return `a list of ${node.prefixItems.length}: ${node.prefixItems.map(inWords).join(", ")}`;
  if (node.items) return `a list${node.minItems === 1 ? " of at least one" : ""}, each ${inWords(node.items)}`;
  if (node.pattern) return `text such as ${JSON.stringify(node.default ?? node.examples?.[0])}`;
  if (node.type === "string") return "text";
  if (node.type === "boolean") return "true or false";
  const kind = node.type === "integer" ? "a whole number" : "a number";
  if (node.exclusiveMinimum !== undefined) return `${kind} above ${node.exclusiveMinimum}`;
  if (node.minimum === undefined) return kind;
  const unbounded = node.maximum === undefined || node.maximum === Number.MAX_SAFE_INTEGER;
  return unbounded ? `${kind} of at least ${node.minimum}` : `${kind} from ${node.minimum} to ${node.maximum}`;
}

/** The value that settings have at a path. */
export function settingAt(settings: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((inner, key) => (isGroup(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined), settings);
}
