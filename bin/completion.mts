/** What the word under the cursor may become, by the command table and the settings' schema. */
import type { Entry, Flag } from "./command.mts";
import { commonFlags } from "./flags.mts";
import type { Remembered } from "./memory.mts";

interface Line {
  /** The line after `pipeline`, up to the cursor; the last word, which may be empty, is the one to complete. */
  words: readonly string[];
  table: readonly Entry[];
  remembered: Remembered;
}

/** Candidates for the last word, whole; none where any word may stand or a file's name: the shell knows those. */
export async function candidates({ words, table, remembered }: Line): Promise<string[]> {
  const [name = "", ...rest] = words;
  const current = words.at(-1) ?? "";
  const names = table.filter((entry) => !("internal" in entry)).map((entry) => entry.name);
  if (words.length < 2) return starting(current, current.startsWith("-") ? ["--help", "--version"] : [...names, "help"]);
  if (name === "help") return words.length === 2 ? starting(current, names) : [];
  const command = table.find((entry) => entry.name === name);
  if (!command) return [];
  const flags: Record<string, Flag> = { ...command.flags, ...commonFlags };
  const { given, awaiting, positionals } = wordsBefore(rest.slice(0, -1), flags);
  if (awaiting !== undefined) return starting(current, await valuesOf(awaiting, { command: name, flags, current, remembered }));
  const inline = /^--([\w-]+)=(.*)$/s.exec(current);
  if (inline) {
    const [, flag = "", value = ""] = inline;
    return starting(value, await valuesOf(flag, { command: name, flags, current: value, remembered })).map((text) => `--${flag}=${text}`);
  }
  const positional = command.positionals[positionals] ?? command.positionals.findLast(({ many }) => many);
  if (positional === undefined || current.startsWith("-")) {
    const free = Object.keys(flags).filter((flag) => flags[flag]!.many || !given.has(flag));
    return starting(
      current,
      free.map((flag) => `--${flag}`),
    );
  }
  const { choices, names: named } = positional;
  return starting(current, choices ?? (named ? await remembered(`${name} ${positional.name}`, named) : []));
}

/** What the words before the cursor have been: flags, how many positionals, and the flag that waits for its value. */
function wordsBefore(
  words: readonly string[],
  flags: Readonly<Record<string, Flag>>,
): { given: Set<string>; awaiting?: string; positionals: number } {
  const given = new Set<string>();
  let awaiting: string | undefined;
  let positionals = 0;
  for (const word of words) {
    const [flag = "", inline] = word.startsWith("--") ? word.slice(2).split("=") : [];
    if (awaiting !== undefined) awaiting = undefined;
    else if (flag === "") positionals++;
    else {
      given.add(flag);
      if (inline === undefined && Object.hasOwn(flags, flag) && flags[flag]!.value) awaiting = flag;
    }
  }
  return { given, awaiting, positionals };
}

/** The values that a flag may have, where they can be listed. Those of a list of names follow the names that stand there. */
async function valuesOf(
  name: string,
  {
    command,
    flags,
    current,
    remembered,
  }: { command: string; flags: Readonly<Record<string, Flag>>; current: string; remembered: Remembered },
): Promise<readonly string[]> {
  const flag = Object.hasOwn(flags, name) ? flags[name]! : undefined;
  if (name === "set") return settingsFor(current, await remembered("settings", loadAssignments));
  if (flag?.choices) {
    const before = flag.value === "A,B" ? current.slice(0, current.lastIndexOf(",") + 1) : "";
    return (await remembered(`${command} --${name}`, flag.choices)).map((choice) => `${before}${choice}`);
  }
  const prefix = `${flag?.sets}=`;
  const values = flag?.sets === undefined ? [] : await remembered("settings", loadAssignments);
  return values.filter((value) => value.startsWith(prefix) && value !== prefix).map((value) => value.slice(prefix.length));
}

const loadAssignments = async (): Promise<string[]> => (await import("../recipes/settings-paths.ts")).assignments();

/** Of the assignments: paths up to their "=" while the path is typed, and whole ones after it. */
function settingsFor(current: string, assignments: readonly string[]): string[] {
  if (current.includes("=")) return assignments.filter((assignment) => !assignment.endsWith("="));
  return [...new Set(assignments.map((assignment) => assignment.slice(0, assignment.indexOf("=") + 1)))];
}

const starting = (prefix: string, words: readonly string[]): string[] => words.filter((word) => word.startsWith(prefix));
