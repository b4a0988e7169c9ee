/** What a training tells of itself: figures by step, how they are grouped for people, and what is read off them. */

/** Figures of one step; which there are may change from line to line. */
export type Line = { step: number } & Record<string, number>;

/** Figures of one step, before it has a number. */
export type Figures = Record<string, number>;

/** Figures that belong into one chart. */
export interface FigureGroup {
  title: string;
  /** Of the upright axis. */
  label: string;
  /** Figures by name, with the words of the legend. */
  figures: Readonly<Record<string, string>>;
  log?: boolean;
  /** TensorBoard's section; "training" unless told. */
  section?: string;
}

/** Something known to go wrong, as it was seen in a history. */
export interface Finding {
  name: string;
  /** What was seen, with its figures. */
  seen: string;
  /** What to try. */
  remedy: string;
}

/** Looks for one way of going wrong at the end of a history; undefined where it is not seen or the history is too short. */
export type Rule = (history: readonly Line[]) => Finding | undefined;

export interface Value {
  step: number;
  value: number;
}

/** The names that any line has, in the order in which they appear. */
export function namesOf(history: readonly Line[]): string[] {
  const names = new Set<string>();
  for (const line of history) for (const name in line) names.add(name);
  names.delete("step");
  return [...names];
}

/** One figure's values, of the lines that have it. */
export function valuesOf(history: readonly Line[], name: string): Value[] {
  const values: Value[] = [];
  for (const line of history) {
    const value = line[name];
    if (value !== undefined) values.push({ step: line.step, value });
  }
  return values;
}
