/** What the scripts beside this one have in common: settings from the environment, and `--out FILE.json` for their figures. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import { parseArgs } from "node:util";
import { load, machine } from "../../stages/doctor/machine.ts";

export type BenchRow = Record<string, string | number>;

export interface Bench<Name extends string> {
  /** The settings by name: those of the environment, the defaults otherwise. */
  settings: Record<Name, string>;
  /** The words of the command line, without `--out FILE`. */
  words: string[];
  /** Adds a row of figures to the file, if one is wanted. Every row of a script has the same keys, which head its table. */
  record: (row: BenchRow) => void;
}

/**
 * Reads the command line and environment of a script. `environment` names the settings that it takes, with their defaults.
 * The file is JSON: the command line, the machine, its load before the script began, the rows so far.
 */
export function openBench<Name extends string>(environment: Readonly<Record<Name, string>>): Bench<Name> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: "string" } } });
  const { out } = values;
  const given = Object.keys(environment).filter((name) => process.env[name] !== undefined);
  const collector = process.execArgv.includes("--expose-gc") ? ["--expose-gc"] : [];
  const script = relative(process.cwd(), process.argv[1]!);
  const command = [
    ...given.map((name) => `${name}=${process.env[name]}`),
    ...["node", ...collector, "--import", "tsx", script, ...positionals],
    ...(out === undefined ? [] : ["--out", out]),
  ].join(" ");
  const head = { format: "onestep-bench", version: 1, command, machine: machine(), load: load() };
  const rows: BenchRow[] = [];
  return {
    settings: { ...environment, ...Object.fromEntries(given.map((name) => [name, process.env[name]])) },
    words: positionals,
    record: (row) => {
      rows.push(row);
      if (out === undefined) return;
      mkdirSync(dirname(out), { recursive: true });
      writeFileSync(out, `${JSON.stringify({ ...head, rows }, null, 2)}\n`);
    },
  };
}

/** A figure to four significant digits: what such a measurement is good for. */
export function rounded(value: number, digits = 4): number {
  return Number(value.toPrecision(digits));
}
