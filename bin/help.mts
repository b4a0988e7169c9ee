/** The help texts, written from the command table. */
import { type Command, type Flag, commands, commonFlags } from "./commands.mts";

/** What `pipeline --help` prints. */
export function overview(): string {
  return [
    "Usage: pipeline COMMAND [...]",
    "",
    "Turn a many-step diffusion model into a generator that needs one network call.",
    "",
    "Commands:",
    ...aligned(commands.map(({ name, summary }) => [name, summary])),
    "",
    "pipeline COMMAND --help shows a command's flags and an example.",
    "The demo on the built-in data: pipeline run",
  ].join("\n");
}

/** What `pipeline COMMAND --help` prints. */
export function commandHelp({ name, summary, positionals, flags, example }: Command): string {
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
    ...aligned([...positionals.map(({ name, about }) => [name, about] as [string, string]), ...rows(flags)]),
    "",
    "Common to all commands:",
    ...aligned(rows(commonFlags)),
    "",
    "Example:",
    `  ${example}`,
  ].join("\n");
}

function rows(flags: Readonly<Record<string, Flag>>): [string, string][] {
  return Object.entries(flags).map(([name, { value, about, sets, required }]) => [
    `--${name}${value ? ` ${value}` : ""}`,
    `${about}${required ? " (required)" : ""}${sets ? ` [${sets}]` : ""}`,
  ]);
}

function aligned(rows: [string, string][]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
