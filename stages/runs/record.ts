/**
 * What a training tells of itself while it goes on, in its folder: metrics.jsonl and distance.svg, which are a function of
 * the run; TensorBoard's events and run.html, which also tell the time.
 */
import { appendFile, mkdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Context } from "../../schemas/events.ts";
import { namesIn, removeTemporaries, writeAtomic } from "../../store/atomic.ts";
import { distanceChart } from "./charts.ts";
import { type Finding, findingsOf } from "./health.ts";
import { keepHistory, type Line } from "./history.ts";
import { runPage, type RunState } from "./page.ts";
import { openEventFile } from "./tensorboard.ts";

export interface Chronicle {
  /** One line of metrics. */
  log: (line: Line) => void;
  /** Says that a step is done, and now and then renews files and page. */
  passed: (step: number) => Promise<void>;
  /** Takes in the grid that was painted at RUN/pictures, if one was. */
  painted: (step: number) => Promise<void>;
  /** Writes everything told so far. */
  flush: () => Promise<void>;
  /** Writes the page of a training that does not go on. */
  end: (state: Exclude<RunState["state"], "training">, reason?: string) => Promise<void>;
}

/** RUN/pictures/0001000.png */
export const pictureAt = (folder: string, step: number): string => join(folder, "pictures", `${String(step).padStart(7, "0")}.png`);

/** Opens the chronicle of a training that goes on after step `from`; what was told of later steps is taken back. */
export async function openChronicle(options: {
  folder: string;
  name: string;
  steps: number;
  batch: number;
  from: number;
  context: Context;
}): Promise<Chronicle> {
  const { folder, name, steps, batch, from, context } = options;
  await mkdir(folder, { recursive: true });
  await removeTemporaries(join(folder, "pictures"));
  const metrics = join(folder, "metrics.jsonl");
  const history = await keepHistory(metrics, from);
  const events = await openEventFile({ folder: join(folder, "tensorboard"), from });
  const settings = await readFile(join(folder, "settings.yaml"), "utf8").catch(() => undefined);
  let lines = "";
  let step = from;
  let picture = await newestPicture(folder, from);
  let findings: Finding[] = [];
  let [written, isMeasured] = [Number.NEGATIVE_INFINITY, false];
  const marks: { step: number; at: number }[] = []; // of the last minutes, for the rate

  async function flush(state: RunState["state"] = "training", reason?: string): Promise<void> {
    const before = new Set(findings.map((finding) => finding.name));
    findings = findingsOf(history);
    for (const found of findings) {
      if (before.has(found.name)) continue;
      context.report({ type: "warning", stage: name, message: `${found.name} at step ${step}: ${found.seen}. Try: ${found.remedy}` });
    }
    const [text, isNew] = [lines, isMeasured];
    [lines, isMeasured] = ["", false];
    await appendFile(metrics, text);
    await events.flush();
    const chart = isNew ? distanceChart(history, batch) : undefined;
    if (chart) await writeAtomic(join(folder, "distance.svg"), chart);
    const now = { rate: rateOf(marks), time: new Date(), folder: basename(resolve(folder)) };
    const page = runPage({ name, state, reason, step, steps, batch, history, findings, picture, settings, ...now });
    await writeAtomic(join(folder, "run.html"), page);
    written = performance.now();
  }

  return {
    log: (line) => {
      const { step: at, ...values } = line;
      history.push(line);
      lines += `${JSON.stringify(line)}\n`;
      isMeasured ||= "distance" in values;
      events.scalars(at, Object.fromEntries(Object.entries(values).map(([key, value]) => [tagOf(key), value])));
    },
    passed: async (done) => {
      step = done;
      const now = performance.now();
      if (marks.length === 0 || now - marks.at(-1)!.at > 1000) marks.push({ step: done, at: now });
      while (marks.length > 120) marks.shift();
      if (now - written > PAGE_EVERY) await flush();
    },
    painted: async (at) => {
      const png = await readFile(pictureAt(folder, at)).catch(() => undefined);
      if (!png) return;
      picture = { step: at, png };
      events.picture(at, { tag: "samples", png, width: png.readUInt32BE(16), height: png.readUInt32BE(20) }); // of the PNG's IHDR
    },
    flush: () => flush(),
    end: (state, reason) => flush(state, reason),
  };
}

/** Milliseconds between two pages. */
const PAGE_EVERY = 20_000;

/** TensorBoard puts what stands before the slash into one section. */
function tagOf(figure: string): string {
  if (figure === "distance" || figure === "diversity") return `samples/${figure}`;
  return figure.startsWith("d_") || figure === "r1" ? `discriminator/${figure.replace("d_", "")}` : `training/${figure}`;
}

function rateOf(marks: readonly { step: number; at: number }[]): number {
  const [first, last] = [marks[0], marks.at(-1)];
  return first && last && last.at > first.at ? (1000 * (last.step - first.step)) / (last.at - first.at) : 0;
}

async function newestPicture(folder: string, from: number): Promise<RunState["picture"]> {
  const steps = (await namesIn(join(folder, "pictures"))).flatMap((name) =>
    /^\d{7,}\.png$/.test(name) ? [Number.parseInt(name, 10)] : [],
  );
  const newest = Math.max(...steps.filter((step) => step <= from));
  return Number.isFinite(newest) && from > 0 ? { step: newest, png: await readFile(pictureAt(folder, newest)) } : undefined;
}
