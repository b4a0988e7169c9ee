/** From the words of a command line to a request, checked against the command table. */
import { parseArgs } from "node:util";
import { badUsage } from "../schemas/failure.ts";
import { didYouMean, unknownName } from "../schemas/nearest.ts";
import { checkInputFolder, checkOutput } from "../store/places/output.ts";
import type { Entry, Flag, InputPath } from "./command.mts";
import { commands } from "./commands.mts";
import { commonFlags } from "./flags.mts";

export interface Request {
  command: Entry;
  positionals: string[];
  flags: Record<string, string | undefined>; // single values; a switch that was given is ""
  repeated: Record<string, string[]>;
  help: boolean;
}

/**
 * Looks at the files and folders that a request names, before anything is done. Throws a Failure of one sentence where
 * something stands in the way of an output, or a file is named for the folder of a store or run.
 */
export function checkPaths({ command, positionals, flags }: Request): void {
  const rest = [...positionals];
  for (const { name, many, input } of command.positionals) {
    for (const path of many ? rest.splice(0) : rest.splice(0, 1)) {
      if (isFolder(input, path)) checkInputFolder({ path, what: name });
    }
  }
  for (const [name, { input }] of Object.entries(command.flags)) {
    const path = flags[name];
    if (path !== undefined && isFolder(input, path)) checkInputFolder({ path, what: `--${name}` });
  }
  for (const [name, { output }] of Object.entries(command.flags)) {
    const path = flags[name];
    if (output === undefined || path === undefined) continue;
    const kind = output === "folder" ? "folder" : "file";
    checkOutput({ path, kind, what: `--${name}`, ...(output !== "folder" && { extensions: output.file }) });
  }
}

/** Whether what is named can only be a folder. */
const isFolder = (input: InputPath | undefined, path: string): boolean =>
  input === "folder" || (input !== undefined && !input.orFile.test(path));

/** The command of that name, or a usage failure that suggests the nearest. */
export function commandNamed(name: string, table: readonly Entry[] = commands): Entry {
  const command = table.find((candidate) => candidate.name === name);
  if (command) return command;
  const told = table.filter((candidate) => !("internal" in candidate));
  throw unknownName(name, { what: "command", names: ["help", ...told.map((candidate) => candidate.name)] });
}

/** Reads a command line (without `node` and the script). Throws a usage failure at the first thing wrong with it. */
export function readArguments([name = "", ...rest]: readonly string[], table: readonly Entry[] = commands): Request {
  const command = commandNamed(name, table);
  const known: Record<string, Flag> = { ...command.flags, ...commonFlags };
  const { tokens } = parseArgs({
    args: rest,
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: {
      ...Object.fromEntries(Object.entries(known).map(([flag, { value }]) => [flag, { type: value ? "string" : "boolean" } as const])),
      help: { type: "boolean", short: "h" },
    },
  });
  const request: Request = { command, positionals: [], flags: {}, repeated: {}, help: false };
  for (const token of tokens) {
    if (token.kind === "positional") request.positionals.push(token.value);
    if (token.kind === "option") addFlag(request, token, known);
  }
  request.help = "help" in request.flags;
  if (!request.help) checkComplete(request);
  return request;
}

function addFlag(
  { command, flags, repeated }: Request,
  { name, rawName, value, inlineValue }: { name: string; rawName: string; value?: string; inlineValue?: boolean },
  known: Record<string, Flag>,
): void {
  const flag = Object.hasOwn(known, name) ? known[name] : undefined;
  if (!flag) {
    const remedy = `see pipeline ${command.name} --help`;
    const suggestion = didYouMean(name, Object.keys(known), "").replace('"', '"--');
    throw badUsage(`Unknown flag "${rawName}" of ${command.name}: ${suggestion || remedy}`);
  }
  if (!flag.value) {
    if (inlineValue) throw badUsage(`Cannot give "${rawName}" the value "${value}": it is a switch and takes none`);
    flags[name] = "";
    return;
  }
  const swallowed = !inlineValue && value?.startsWith("-") && !/^-\.?\d/.test(value);
  if (value === undefined || value === "" || swallowed) {
    throw badUsage(`Missing value after "${rawName}" of ${command.name}: expected ${rawName} ${flag.value}`);
  }
  if (flag.many) {
    (repeated[name] ??= []).push(value);
    return;
  }
  if (name in flags) throw badUsage(`Cannot use "${rawName}" twice: it was "${flags[name]}" and "${value}"`);
  const { most = Number.MAX_SAFE_INTEGER } = flag;
  const isWhole = /^[1-9]\d*$/.test(value);
  if (flag.whole && (!isWhole || Number(value) > most)) {
    throw badUsage(`Cannot set ${rawName} to "${value}": expected a whole number ${isWhole ? `from 1 to ${most}` : "above 0"}`);
  }
  flags[name] = value;
}

function checkComplete({ command, positionals, flags }: Request): void {
  const seen = [...positionals];
  for (const { name, choices, many, optional } of command.positionals) {
    const values = many ? seen.splice(0) : seen.splice(0, 1);
    if (values.length === 0 && !optional) {
      throw badUsage(`Missing ${name} of ${command.name}: expected, for example, ${command.example}`);
    }
    const wrong = choices && values.find((value) => !choices.includes(value));
    if (choices && wrong !== undefined) {
      throw badUsage(`Unknown ${name} "${wrong}" of ${command.name}: ${didYouMean(wrong, choices, `expected ${choices.join(", ")}`)}`);
    }
  }
  if (seen.length > 0) throw badUsage(`Unexpected "${seen[0]}" after ${command.name}: see pipeline ${command.name} --help`);
  for (const [name, { required, value }] of Object.entries(command.flags)) {
    if (required && !(name in flags)) {
      throw badUsage(`Missing --${name} ${value} of ${command.name}: expected, for example, ${command.example}`);
    }
  }
}
