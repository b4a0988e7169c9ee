/**
 * Paths of a command line that are URLs. Stores stay where they are; runs are fetched; a folder that is written is sent when it is whole;
 * anything else is refused, so that no URL is ever taken for a folder's name.
 */
import { badUsage } from "../schemas/failure.ts";
import type { Context } from "../schemas/events.ts";
import type { Wishes } from "../recipes/fit.ts";
import type { Settings } from "../schemas/settings.ts";
import { isUrl, placeOf, within } from "../store/places/place.ts";
import type { Request } from "./arguments.mts";
import type { Flag, Input } from "./command.mts";
import { commonFlags } from "./flags.mts";

/** Does a command's work with flags whose folders are of this machine, and sends what it wrote to where it belongs. */
export type Send = (context: Context, work: (flags: Input["flags"], context: Context) => Promise<void>) => Promise<void>;

/** What a flag or positional says of its path. */
type Place = Pick<Flag, "input" | "output" | "bucket" | "many">;

/** What stands for a value that is a path. */
const PATHS = /FILE|FOLDER|PATH|RUN|STORE|LATENTS|TOKENS|IMAGES|LORAS|PIPELINE|GOLDEN/;

/**
 * Does the work of a request in which URLs of runs have become folders; whatever it says or throws of these has the URLs' names again.
 * Throws a usage failure for a URL that its place does not take.
 */
export async function inPlace<R extends Request>(
  request: R,
  signal: AbortSignal,
  work: (here: R, send: Send) => Promise<void>,
): Promise<void> {
  const words = [...request.positionals, ...Object.values(request.flags), ...Object.values(request.repeated).flat()];
  if (!words.some((word) => word !== undefined && isUrl(word))) return work(request, (context, start) => start(request.flags, context));
  const [{ failureNamed, mirrored }, { renamed }] = await Promise.all([
    import("../stages/runs/mirror.ts"),
    import("../stages/runs/renamed.ts"),
  ]);
  const uses: (() => Promise<void>)[] = [];
  try {
    const { here, names, output } = await placed(request, signal, uses);
    const named = (text: string): string => [...names].reduce((changed, [folder, url]) => changed.replaceAll(folder, url), text);
    const send: Send = (given, start) => {
      const context = { ...given, report: (event) => given.report(renamed(event, named) as typeof event) } satisfies Context;
      if (!output) return start(here.flags, context);
      const { flag, url } = output;
      const sent = { url, command: request.command.name, context };
      return mirrored(sent, ({ folder, context }) => start({ ...here.flags, [flag]: folder }, context));
    };
    await work(here, send).catch((error) => {
      throw failureNamed(error, named);
    });
  } finally {
    for (const release of uses) await release();
  }
}

/**
 * The request without URLs but those that its command takes itself; what was fetched, by its folder; and what is to be sent. Adds to `uses`
 * what says that a fetched folder is used no more.
 */
async function placed<R extends Request>(request: R, signal: AbortSignal, uses: (() => Promise<void>)[]) {
  const { command } = request;
  const names = new Map<string, string>();
  let output: { flag: string; url: string } | undefined;

  const pathOf = async (path: string, what: string, spec: Place): Promise<string> => {
    if (!isUrl(path)) return path;
    const how = bucketUse(command.name, path, what, spec);
    if (how === "itself") return path;
    const { filesAt } = await import("../store/places/files.ts");
    const isStore = (await filesAt(path).size(within(path, "store.json"))) !== undefined;
    if (isStore && spec.bucket === "store") return path;
    if (isStore) throw badUsage(`Cannot use ${path} (${what}): a store lies there; name ${how === "sent" ? "another place" : "a run"}`);
    if (how === "sent") {
      output = { flag: what.slice(2), url: path };
      return path;
    }
    const { fetchedRun } = await import("../stages/runs/mirror.ts");
    const { folder, release } = await fetchedRun(path, { command: command.name, signal });
    uses.push(release);
    names.set(folder, path.replace(/\/+$/, ""));
    return folder;
  };

  const rest = [...request.positionals];
  const positionals: string[] = [];
  for (const positional of command.positionals) {
    const isPath = PATHS.test(positional.name) || positional.input !== undefined;
    for (const word of positional.many ? rest.splice(0) : rest.splice(0, 1)) {
      positionals.push(isPath ? await pathOf(word, positional.name, positional) : word);
    }
  }
  const known: Readonly<Record<string, Flag>> = { ...commonFlags, ...command.flags };
  const flags = { ...request.flags };
  for (const [name, value] of Object.entries(flags)) {
    if (value !== undefined && isPathOf(known[name])) flags[name] = await pathOf(value, `--${name}`, known[name] as Flag);
  }
  for (const [name, values] of Object.entries(request.repeated)) {
    if (isPathOf(known[name])) for (const value of values) await pathOf(value, `--${name}`, known[name] as Flag);
  }
  return { here: { ...request, positionals, flags }, names, output };
}

/** Throws a usage failure for a flag's URL that its command does not take; nothing is fetched. */
export function checkUrls({ command, flags }: Request): void {
  const known: Readonly<Record<string, Flag>> = { ...commonFlags, ...command.flags };
  for (const [name, value] of Object.entries(flags)) {
    if (value !== undefined && isUrl(value) && isPathOf(known[name])) bucketUse(command.name, value, `--${name}`, known[name] as Flag);
  }
}

/** What becomes of a URL: its command takes it itself, or it is fetched before or sent after. Throws a usage failure for no such place. */
function bucketUse(command: string, url: string, what: string, spec: Place): "itself" | "fetched" | "sent" {
  const { input, output, bucket, many } = spec;
  if (bucket === "none") throw badUsage(`Cannot ${command} with ${url} (${what}): ${command} works in folders of this machine; name one`);
  placeOf(url);
  if (output === "folder") return bucket === "store" ? "itself" : "sent";
  if (output === undefined && !(many && bucket === undefined) && (input !== undefined || bucket !== undefined)) return "fetched";
  const remedy = output === undefined ? "copy it here with your cloud's own tool" : "name one, and copy it there when it is written";
  throw badUsage(`Cannot use ${url} (${what}): it must be a file or folder of this machine; ${remedy}`);
}

const isPathOf = (flag: Flag | undefined): boolean =>
  flag !== undefined &&
  (flag.input !== undefined || flag.output !== undefined || (flag.sets === undefined && PATHS.test(flag.value ?? "")));

/** Settings that may be URLs: a store that is read where it lies, and words. */
const FREE = ["train.images", "simulate.negative"];

/** Throws a usage failure where a setting that is a path is a URL, and was asked for: what a run recorded need not be there any more. */
export function checkSettingsPlaces(settings: Settings, asked: Wishes): void {
  const look = (value: unknown, at: string): void => {
    if (typeof value === "string" && isUrl(value) && asked.has(at) && !FREE.includes(at)) {
      throw badUsage(`Cannot use ${value} (${at}): it must be a file or folder of this machine; copy it here with your cloud's own tool`);
    }
    if (value !== null && typeof value === "object") for (const [key, each] of Object.entries(value)) look(each, at ? `${at}.${key}` : key);
  };
  look(settings, "");
}
