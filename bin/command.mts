/** What a command is: all that parsing, `--help`, suggestions and dispatch need to know of it. */
import type { Wishes } from "../recipes/fit.ts";
import type { Part } from "../recipes/parts.ts";
import type { Context } from "../schemas/events.ts";
import type { Settings } from "../schemas/settings.ts";

export interface Flag {
  value?: string; // what stands for the value in the help; a flag without one is a switch
  about: string;
  sets?: string; // the settings path this flag is short for; the help lists the choices that the schema has there
  choices?: () => Promise<readonly string[]>; // the names to choose from, from the table that holds them, for the help
  whole?: boolean; // the value is a whole number above 0
  most?: number; // of a whole number; 2^53 - 1 unless told
  output?: Output; // the value names what the command writes
  input?: InputPath;
  bucket?: Bucket;
  required?: boolean;
  many?: boolean;
}

/** What a value names: a folder to read, or a file that is called so. */
export type InputPath = "folder" | { orFile: RegExp };

/**
 * What becomes of a URL: a store is read and written where it lies, and so is a run that the command itself sends; "none" takes folders of
 * this machine alone. Without it a run is fetched before, and a folder sent after (places.mts).
 */
export type Bucket = "store" | "none";

/** What a command writes: a folder, or a file whose name ends in one of these. */
export type Output = "folder" | { file: readonly string[] };

export interface Positional {
  name: string;
  about: string;
  choices?: readonly string[];
  names?: () => Promise<readonly string[]>; // as `choices`, from the table that holds them; the pipeline checks what was given
  many?: boolean;
  optional?: boolean;
  input?: InputPath;
  bucket?: Bucket;
}

/** What a command's line gave: flags by name, single ones and those that may be repeated, and the settings that resulted. */
export interface Input {
  command: string; // the line itself, for files that say how they were made
  positionals: string[];
  flags: Record<string, string | undefined>;
  repeated: Record<string, string[]>;
  settings: Settings;
  /** Which settings were asked for on the line or in its file. */
  asked: Wishes;
  context: Context;
}

interface Described {
  name: string;
  summary: string;
  positionals: readonly Positional[];
  flags: Readonly<Record<string, Flag>>;
  example: string;
}

/** A command that does its work by a pipeline. */
export interface Command extends Described {
  /** Flags or positionals that name a folder whose recorded settings.yaml decides these groups, below --config and --set. */
  inherits?: Readonly<Record<string, readonly (keyof Settings)[]>>;
  /** Which parts of the work its settings decide, for what must fit each other; none where they decide nothing that is made. */
  parts?: (input: Omit<Input, "context" | "command" | "repeated" | "asked">) => Promise<readonly Part[]>;
  /** True where it only looks: what it prints is all it makes, unless a flag names an output. */
  looks?: boolean;
  start: (input: Input) => Promise<unknown>;
}

/** A command that answers with a text at once: it reads no settings and runs no pipeline. */
export interface Question extends Described {
  /** True where programs ask, not people: the overview leaves it out. */
  internal?: boolean;
  answer: (input: {
    positionals: string[];
    flags: Input["flags"];
    table: readonly Entry[];
    /**
     * What a line calls and asks for. Throws a usage failure at the first thing wrong with the line; files that are not here are not
     * looked at, since the line may be of another machine.
     */
    check: (line: readonly string[]) => Promise<Checked>;
  }) => Promise<string>;
}

/** The command that a line calls, its flags, and what computes; undefined where a file decides that which is not here. */
export interface Checked extends Pick<Input, "flags" | "repeated"> {
  command: string;
  engine: Settings["engine"] | undefined;
}

/** What the command table holds. */
export type Entry = Command | Question;
