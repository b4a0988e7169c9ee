/** The help texts, written from the command table. */
import type { Entry, Flag, Positional } from "./command.mts";
import { commands } from "./commands.mts";
import { commonFlags } from "./flags.mts";

/** What `pipeline --help` prints. */
export function overview(): string {
  return [
    "Usage: pipeline COMMAND [...]",
    "",
    "Turn a many-step diffusion model into a generator that needs one network call.",
    "",
    "Commands:",
    ...aligned(commands.filter((entry) => !("internal" in entry)).map(({ name, summary }) => [name, summary])),
    "",
    "pipeline COMMAND --help shows a command's flags and an example.",
    "The demo on the built-in data: pipeline run",
  ].join("\n");
}

/** What `pipeline COMMAND --help` prints. */
export async function commandHelp({ name, summary, positionals, flags, example }: Entry): Promise<string> {
  const words = positionals.map((positional) => {
    const word = `${positional.choices?.join("|") ?? positional.name}${positional.many ? "..." : ""}`;
    return positional.optional ? `[${word}]` : word;
  });
  const required = Object.entries(flags).filter(([, flag]) => flag.required);
  const usage = [name, ...words, ...required.map(([flag, { value }]) => `--${flag} ${value}`), "[...]"].join(" ");
  return [
    `Usage: pipeline ${usage}`,
    "",
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.`,
    "",
    ...aligned([...(await Promise.all(positionals.map(row))), ...(await rows(flags))]),
    "",
    "Common to all commands:",
    ...aligned(await rows(commonFlags)),
    "",
    "Example:",
    `  ${example}`,
  ].join("\n");
}

async function row({ name, about, names }: Positional): Promise<[string, string]> {
  return [name, names ? `${about}: ${(await names()).join(", ")}` : about];
}

/** What the help says of each flag, with the names to choose from wherever they are held. */
async function rows(flags: Readonly<Record<string, Flag>>): Promise<[string, string][]> {
  const { choicesAt } = await import("../recipes/settings-paths.ts");
  const made = Object.entries(flags).map(async ([name, { value, about, sets, choices, required }]): Promise<[string, string]> => {
    const names = (await choices?.()) ?? (sets === undefined ? [] : choicesAt(sets));
    const words = names.length > 0 ? `${about}: ${names.join(", ")}` : about;
    return [`--${name}${value ? ` ${value}` : ""}`, `${words}${required ? " (required)" : ""}${sets ? ` [${sets}]` : ""}`];
  });
  return Promise.all(made);
}

function aligned(rows: [string, string][]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
