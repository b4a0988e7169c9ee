/** The help texts, written from the command table. */
import type { Entry, Flag, Positional } from "./command.mts";
import { commands } from "./commands.mts";
import { commonFlags } from "./flags.mts";
import { hanging } from "./hanging.mts";

/** Columns that a text is wrapped at where the terminal has more: longer lines are hard to read. */
const WIDEST = 100;

/** What `pipeline --help` prints to a terminal of so many columns. */
export function overview(terminal: number): string {
  const columns = Math.min(terminal, WIDEST);
  return [
    "Usage: pipeline COMMAND [...]",
    "",
    ...hanging("", "Turn a many-step diffusion model into a generator that needs one network call.", columns),
    "",
    "Commands:",
    ...aligned(
      commands.filter((entry) => !("internal" in entry)).map(({ name, summary }) => [name, summary]),
      columns,
    ),
    "",
    ...hanging("", "pipeline COMMAND --help shows a command's flags and an example.", columns),
    "The demo on the built-in data: pipeline run",
  ].join("\n");
}

/** What `pipeline COMMAND --help` prints to a terminal of so many columns. The example stays one line, to be copied. */
export async function commandHelp({ name, summary, positionals, flags, example }: Entry, terminal: number): Promise<string> {
  const columns = Math.min(terminal, WIDEST);
  const words = positionals.map((positional) => {
    const word = `${positional.choices?.join("|") ?? positional.name}${positional.many ? "..." : ""}`;
    return positional.optional ? `[${word}]` : word;
  });
  const required = Object.entries(flags).filter(([, flag]) => flag.required);
  const usage = ["pipeline", name, ...words, ...required.map(([flag, { value }]) => `--${flag} ${value}`), "[...]"].join(" ");
  return [
    ...hanging("Usage: ", usage, columns),
    "",
    ...hanging("", `${summary[0]!.toUpperCase()}${summary.slice(1)}.`, columns),
    "",
    ...aligned([...(await Promise.all(positionals.map(row))), ...(await rows(flags))], columns),
    "",
    "Common to all commands:",
    ...aligned(await rows(commonFlags), columns),
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

/** Names and what is said of them side by side. A name that leaves less than three fifths of the line stands above its words. */
function aligned(rows: [string, string][], columns: number): string[] {
  const most = Math.floor((columns * 2) / 5) - 4;
  const width = Math.min(most, Math.max(...rows.map(([left]) => left.length)));
  return rows.flatMap(([left, right]) => {
    const above = left.length > width ? [`  ${left}`] : [];
    return [...above, ...hanging(`  ${(above.length > 0 ? "" : left).padEnd(width)}  `, right, columns)];
  });
}
