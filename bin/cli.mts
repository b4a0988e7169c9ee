/** The command line: reads it, resolves the settings, runs the command's pipeline, and says how it ended. */
import { existsSync } from "node:fs";
import { computeWorkers } from "../engine/compute.ts";
import type { Plan, Wishes } from "../recipes/fit.ts";
import type { Layer } from "../recipes/resolve-settings.ts";
import type { PipelineEvent } from "../schemas/events.ts";
import { badUsage, isFailure } from "../schemas/failure.ts";
import { quoted } from "../schemas/quoted.ts";
import type { Settings } from "../schemas/settings.ts";
import { systemError } from "../schemas/system-error.ts";
import { visible, visibleLines } from "../schemas/visible.ts";
import { abandonedRequests, endsWith } from "../store/places/patience.ts";
import { isUrl } from "../store/places/place.ts";
import { checkPaths, commandNamed, readArguments, type Request } from "./arguments.mts";
import type { Checked, Command, Entry } from "./command.mts";
import { commands } from "./commands.mts";
import { commonFlags } from "./flags.mts";
import { commandHelp, overview } from "./help.mts";
import { checkSettingsPlaces, checkUrls, inPlace, type Send } from "./places.mts";
import { createReporter, type Mode } from "./reporter.mts";
import { watchStreams } from "./streams.mts";

/** What the command line touches of the outside, so that tests can hand in their own. */
export interface Outside {
  out: (text: string) => void;
  err: (text: string) => void;
  signal: AbortSignal;
  terminal: boolean;
  colour: boolean;
  columns: () => number; // of the terminal that progress is drawn on
  room?: () => number; // of the one that results are written to, if it is one
}

/** The settings of a command, and which of them were asked for in it. */
interface Resolved {
  settings: Settings;
  asked: Wishes;
}

/** A request of a command that has a pipeline. */
type Work = Request & { command: Command };

/** Runs a command line in this process: wires signals, streams and the exit code. */
export async function main(args: readonly string[], table: readonly Entry[] = commands): Promise<void> {
  const controller = new AbortController();
  const streams = watchStreams({ args, table, controller });
  const interrupt = () => {
    if (controller.signal.aborted) {
      if (computeWorkers() > 0) process.kill(process.pid, "SIGKILL"); // a worker in native code cannot be ended otherwise
      process.exit(130);
    }
    streams.err("\nStopping cleanly; once more to stop at once.\n");
    controller.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  let isLost = false;
  const lost = (error: unknown) => {
    if (isLost || (controller.signal.aborted && isAbort(error, controller.signal))) return;
    isLost = true;
    process.exitCode = explain(error, streams.err);
    controller.abort(error); // what is under way ends in order, if it can
    setTimeout(() => process.exit(), 2000).unref();
  };
  process.on("uncaughtException", lost);
  process.on("unhandledRejection", lost);
  const { NO_COLOR, TERM } = process.env;
  const terminal = process.stderr.isTTY === true && TERM !== "dumb";
  const outside: Outside = {
    ...{ out: streams.out, err: streams.err },
    signal: controller.signal,
    terminal,
    colour: terminal && !NO_COLOR,
    columns: () => process.stderr.columns || 80, // a terminal that does not know its size says 0
    room: () => process.stdout.columns || Number.POSITIVE_INFINITY,
  };
  const code = await execute(args, outside, table);
  process.exitCode = isLost ? 1 : streams.exitCode(code);
  // Neither a worker that outlives its pipeline nor a request without an answer holds the shell.
  setTimeout(() => process.exit(), abandonedRequests() > 0 && computeWorkers() === 0 ? 0 : 2000).unref();
}

/** Runs a command line and answers its exit code: 0 done, 1 failed, 2 wrong request, 130 interrupted. */
export async function execute(args: readonly string[], outside: Outside, table: readonly Entry[] = commands): Promise<number> {
  const { out, err, signal, columns } = outside;
  const noLonger = endsWith(signal);
  try {
    const text = await information(args, { table, columns: columns() });
    if (text !== undefined) {
      out(`${text}\n`);
      return 0;
    }
    if (args.length === 0) {
      err(`${overview(columns())}\n`);
      return 2;
    }
    const request = readArguments(args, table);
    const { command } = request;
    if ("answer" in command) {
      const answer = await command.answer({
        ...{ positionals: request.positionals, flags: request.flags, table },
        check: (line) => checkedLine(line, table),
      });
      if (answer !== "") out(`${answer}\n`);
      return 0;
    }
    if (request.flags.cache !== undefined) process.env.ONESTEP_CACHE = request.flags.cache;
    await inPlace({ ...request, command }, signal, async (here, send) => {
      const { settings, asked } = await settingsOf(here);
      checkSettingsPlaces(settings, asked);
      checkPaths(here);
      await perform(here, { settings, asked }, { ...outside, send, line: lineOf(args) });
    });
  } catch (error) {
    if (!signal.aborted) return explain(error, err);
    if (!isAbort(error, signal)) explain(error, err);
  } finally {
    noLonger();
  }
  if (!signal.aborted) return 0;
  err(`Stopped. The same command resumes: ${lineOf(args)}\n`);
  return 130;
}

async function perform(
  { command, positionals, flags: given, repeated }: Work,
  { settings, asked }: Resolved,
  outside: Outside & { line: string; send: Send },
): Promise<void> {
  const reporter = createReporter({ ...outside, mode: modeOf(given, outside.terminal) });
  const told = (event: PipelineEvent) => reporter.report(event);
  try {
    await outside.send({ signal: outside.signal, report: told }, async (flags, context) => {
      const warn = (message: string): void => context.report({ type: "warning", stage: command.name, message });
      const parts = await command.parts?.({ positionals, flags, settings });
      if (parts) await checkSettings({ settings, parts, asked }, warn);
      const { withDevice } = await import("../stages/doctor/choose.ts");
      const chosen = await withDevice(settings, context);
      await command.start({ command: outside.line, positionals, flags, repeated, settings: chosen, asked, context });
    });
  } finally {
    reporter.close();
  }
}

/** Warnings that are told one by one; of more, the settings are named in one line. */
const TOLD = 5;

/** Refuses settings that do not fit each other, and warns of those that have no effect. */
async function checkSettings(plan: Plan, warn: (message: string) => void): Promise<void> {
  const { examineFit } = await import("../recipes/fit.ts");
  const { refusals, warnings } = examineFit(plan);
  if (refusals[0] !== undefined) throw badUsage(refusals[0]);
  warnings.slice(0, TOLD).forEach(warn);
  const rest = warnings.slice(TOLD).map((message) => message.split(" ")[0]);
  if (rest.length > 0) warn(`${rest.length} more settings have no effect: ${rest.join(", ")}`);
}

function modeOf(flags: Request["flags"], terminal: boolean): Mode {
  if ("json" in flags) return "json";
  if ("quiet" in flags) return "quiet";
  return terminal ? "bars" : "lines";
}

/** The text that a request for information answers with, or undefined for a request to work. */
async function information(
  args: readonly string[],
  { table, columns }: { table: readonly Entry[]; columns: number },
): Promise<string | undefined> {
  const [first = "", second] = args;
  if (first === "--version" || first === "-v") return (await import("../schemas/package.ts")).version();
  if (first === "--help" || first === "-h") return overview(columns);
  if (first === "help") return second === undefined ? overview(columns) : commandHelp(commandNamed(second, table), columns);
  const flags = args.slice(0, args.includes("--") ? args.indexOf("--") : undefined);
  if (flags.includes("--help") || flags.includes("-h")) return commandHelp(commandNamed(first, table), columns);
  if (first.startsWith("-")) throw badUsage(`Missing command before "${first}": see pipeline --help`);
  return undefined;
}

/** What a line calls and asks for, once all was looked at that needs no file of where it will run. */
async function checkedLine(line: readonly string[], table: readonly Entry[]): Promise<Checked> {
  const request = readArguments(line, table);
  const { command, flags, repeated } = request;
  const checked = { command: command.name, flags, repeated, engine: undefined };
  if (request.help) throw badUsage(`Cannot use --help in a line of ${command.name} that is to run: leave it out`);
  if ("answer" in command) return checked;
  checkUrls(request);
  const isAway = (path: string | undefined): boolean => path !== undefined && /[./\\]/.test(path) && (isUrl(path) || !existsSync(path));
  if (isAway(flags.config) || isAway(flags.method)) return checked;
  // What the named run or store recorded lies there too.
  const { settings, asked } = await settingsOf({ ...request, command: { ...command, inherits: {} } });
  checkSettingsPlaces(settings, asked);
  return { ...checked, engine: settings.engine };
}

/** Defaults < preset < what the named RUN recorded < the method's recipe < --config < --set and shorthand flags. */
async function settingsOf({ command, flags, repeated, positionals }: Work): Promise<Resolved> {
  const { askedMethodLayer, assignmentLayer, fileLayer, pathLayer, presetLayer, recordedLayers, resolveSettings, wishesOf } = await import(
    "../recipes/resolve-settings.ts"
  );
  const layers: Layer[] = [];
  const builtIn = command.name === "run" && positionals.length === 0 && !("config" in flags);
  const preset = flags.preset ?? (builtIn ? "demo" : undefined);
  if (preset !== undefined) layers.push(presetLayer(preset));
  for (const [name, sections] of Object.entries(command.inherits ?? {})) {
    const folder = flags[name] ?? positionals[command.positionals.findIndex((positional) => positional.name === name)];
    if (folder !== undefined) layers.push(...(await recordedLayers(folder, sections)));
  }
  if (flags.method !== undefined) layers.push(await askedMethodLayer(flags.method));
  if (flags.config !== undefined) layers.push({ ...(await fileLayer(flags.config)), asked: "file" });
  for (const assignment of repeated.set ?? []) layers.push(assignmentLayer(assignment));
  for (const [name, { sets }] of Object.entries({ ...command.flags, ...commonFlags })) {
    if (sets && flags[name] !== undefined) layers.push(pathLayer(sets, flags[name], `--${name}`));
  }
  const settings = resolveSettings(layers);
  return { settings, asked: wishesOf(layers) };
}

/** Prints the sentence alone of a failure or an error of the system, or the stack of what nobody foresaw; answers the exit code. */
function explain(error: unknown, err: (text: string) => void): number {
  const failure = isFailure(error) ? error : systemError(error);
  if (failure) {
    err(`${visible(failure.message)}\n`);
    return failure.exitCode;
  }
  err(`${visibleLines(error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`);
  err("This is a mistake in onestep, not in what you did: please report it with the command and the lines above.\n");
  return 1;
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}

/** The command line as it can be typed again. */
const lineOf = (args: readonly string[]): string => ["pipeline", ...args.map(quoted)].join(" ");
