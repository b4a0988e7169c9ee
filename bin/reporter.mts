/**
 * Shows a pipeline's events: bars on a terminal, a status line every few seconds elsewhere, or JSON lines. Events hold
 * names, captions and reasons as they are; here is the one place where they are made visible for people.
 */
import type { PipelineEvent } from "../schemas/events.ts";
import { visible, visibleJson, visibleLines } from "../schemas/visible.ts";
import { numberInWords } from "../schemas/words.ts";
import { hanging } from "./hanging.mts";
import { facts, isFinished, type Stage, withEvent } from "./progress.mts";

export type Mode = "bars" | "lines" | "json" | "quiet";

export interface ReporterOptions {
  mode: Mode;
  out: (text: string) => void; // notes, results, JSON
  err: (text: string) => void; // progress, warnings
  colour?: boolean;
  columns?: () => number; // of the terminal that progress is drawn on
  room?: () => number; // columns of the terminal that results are written to; without end unless told
  now?: () => number; // ms
  after?: (ms: number, run: () => void) => void;
}

export interface Reporter {
  report: (event: PipelineEvent) => void;
  /** Draws what is still pending; nothing is drawn afterwards. */
  close: () => void;
}

const frame = 100; // ms between two redraws of the bars
const widths = [20, 10, 0]; // blocks of a bar, of which the most are drawn that leave room for the words
const pause = 5000; // ms between two status lines of a stage

/**
 * What shows a command's events to a person: bars that move on a terminal, lines elsewhere, `quiet` or as JSON. `columns` and `room` are
 * asked anew before each line.
 */
export function createReporter({
  mode,
  out,
  err,
  colour = false,
  columns = () => 80,
  room = () => Number.POSITIVE_INFINITY,
  now = () => performance.now(),
  after = (ms, run) => setTimeout(run, ms).unref(),
}: ReporterOptions): Reporter {
  const active = new Map<string, Stage>();
  const spoken = new Map<string, number>(); // when a stage last had its status line
  let drawn = 0; // lines of bars now on the terminal, below everything else
  let lastDraw = -frame;
  let pending = false;
  let closed = false;

  const paint = (code: number, text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const erase = () => {
    if (drawn > 0) err(`\u001b[${drawn}A\u001b[J`);
    drawn = 0;
  };
  const draw = () => {
    pending = false;
    if (closed) return;
    erase();
    lastDraw = now();
    for (const [name, stage] of active) {
      if (!isFinished(stage)) continue;
      err(`${bar(name, stage)}\n`); // above those that go on: only the lowest lines are erased
      active.delete(name);
    }
    for (const [name, stage] of active) err(`${bar(name, stage)}\n`);
    drawn = active.size;
  };
  const bar = (name: string, stage: Stage) => {
    const { done, total } = stage.latest;
    const text = visible(facts(stage).join("  "));
    const title = visible(name)
      .padEnd(10)
      .slice(0, Math.max(0, columns() - 2));
    const left = Math.max(0, columns() - title.length - 2);
    const width = total === undefined ? 0 : (widths.find((blocks) => blocks + 1 + text.length <= left) ?? 0);
    const filled = total ? Math.min(width, Math.floor((width * done) / total)) : 0;
    const blocks = width === 0 ? "" : `${"█".repeat(filled)}${"░".repeat(width - filled)} `;
    return `${paint(1, title)} ${width === 0 ? "" : paint(36, blocks)}${text.slice(0, left - blocks.length)}`;
  };

  const progress = (event: Extract<PipelineEvent, { type: "progress" }>) => {
    const fresh = !active.has(event.stage);
    const stage = withEvent(active.get(event.stage), event, now());
    active.set(event.stage, stage);
    if (mode === "lines") {
      if (fresh) spoken.set(event.stage, now());
      if (!isFinished(stage) && now() - spoken.get(event.stage)! < pause) return;
      spoken.set(event.stage, now());
      err(`${visible(event.stage)}  ${visible(facts(stage).join("  "))}\n`);
      if (isFinished(stage)) active.delete(event.stage);
    } else if (isFinished(stage) || now() - lastDraw >= frame) {
      draw();
    } else if (!pending) {
      pending = true;
      after(lastDraw + frame - now(), draw);
    }
  };

  /** Writes above the bars. */
  const say = (write: (text: string) => void, text: string) => {
    erase();
    write(`${text}\n`);
    if (mode === "bars") draw();
  };

  return {
    report: (event) => {
      if (mode === "json") return out(`${visibleJson(event)}\n`);
      if (event.type === "progress") return mode === "quiet" ? undefined : progress(event);
      if (mode === "bars" && "isDetail" in event && event.isDetail) return; // bars tell it too; a log keeps it
      const title = visible(event.stage);
      if (event.type === "warning") return say(err, `${paint(33, "warning:")} ${title}: ${visible(event.message)}`);
      if (event.type === "note") {
        const lines = visibleLines(event.message);
        return mode === "quiet" ? undefined : say(out, lines.includes("\n") ? lines : `${title}: ${lines}`);
      }
      if (event.type === "figure") return; // the table at the end shows it
      const lines =
        event.type === "table"
          ? [...tableOf(event.rows, room()), ...(event.about ? [`  ${visible(event.about)}`] : [])]
          : pairs(event.values, room());
      say(out, [paint(1, title), ...lines].join("\n"));
    },
    close: () => {
      if (pending) draw();
      closed = true;
    },
  };
}

/** Names and their values, one a line unless a value is longer than that. */
function pairs(values: Record<string, number | string>, room: number): string[] {
  const lines = Object.entries(values).map(([name, value]) => [visible(name), cell(value)] as const);
  const width = widest(lines.map(([name]) => name));
  return lines.flatMap(([name, value]) => hanging(`  ${name.padEnd(width)}  `, value, room));
}

/**
 * Rows under a line of names: words to the left, numbers (with their spread, or none) to the right of their column. Columns without room
 * beside the others follow below an empty line, with the first column, which names the rows, before them again.
 */
function tableOf(rows: Record<string, number | string>[], room: number): string[] {
  const [first, ...rest] = columnsOf(rows);
  if (first === undefined) return [];
  const widthOf = (columns: string[][]): number => columns.reduce((sum, [top = ""]) => sum + 2 + top.length, 0);
  const parts: string[][][] = [[first]];
  for (const column of rest) {
    const part = parts.at(-1) as string[][];
    if (part.length === 1 || widthOf([...part, column]) <= room) part.push(column);
    else parts.push([first, column]);
  }
  const drawn = parts.map((columns) => first.map((_, line) => `  ${columns.map((cells) => cells[line]).join("  ")}`.trimEnd()));
  return drawn.flatMap((lines, i) => (i === 0 ? lines : ["", ...lines]));
}

/** The cells of every column, its name first, padded to the same width. */
function columnsOf(rows: Record<string, number | string>[]): string[][] {
  const names = Object.keys(rows[0] ?? {});
  return names.map((name) => {
    const cells = [visible(name), ...rows.map((row) => cell(row[name] ?? ""))];
    const width = widest(cells);
    const right = rows.every((row) => typeof row[name] === "number" || /^$|^[-\d.e]+ ± /.test(row[name] ?? ""));
    return cells.map((text) => (right ? text.padStart(width) : text.padEnd(width)));
  });
}

const cell = (value: number | string): string => (typeof value === "number" ? numberInWords(value) : visible(value));
const widest = (cells: readonly string[]): number => cells.reduce((most, { length }) => Math.max(most, length), 0);
