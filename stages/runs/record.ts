/**
 * What a training tells of itself while it goes on, in its folder: metrics.jsonl and distance.svg, which are a function of
 * the run; TensorBoard's events and run.html, which also tell the time.
 */
import { appendFile, mkdir, readFile, rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Context } from "../../schemas/events.ts";
import { rateOf } from "../../schemas/rate.ts";
import { absent } from "../../schemas/system-error.ts";
import { namesIn, removeTemporaries, writeAtomic } from "../../store/places/atomic.ts";
import type { FigureGroup, Finding, Line, Rule } from "../../schemas/figures.ts";
import { distanceChart } from "./charts.ts";
import { findingsOf } from "./health.ts";
import type { Adorn } from "./ornament.ts";
import { keepHistory } from "./history.ts";
import { runPage, type RunState } from "./page.ts";
import { openEventFile } from "./tensorboard.ts";

export interface RunRecord {
  /** One line of metrics. */
  log: (line: Line) => void;
  /** Says that a step is done, and now and then renews files and page. */
  passed: (step: number) => Promise<void>;
  /** Takes in the grid that was drawn at RUN/pictures, if one was. */
  pictured: (step: number) => Promise<void>;
  /** Writes everything told so far. */
  flush: () => Promise<void>;
  /** Writes the page of a training that does not go on. */
  end: (state: Exclude<RunState["state"], "training">, reason?: string) => Promise<void>;
}

/** RUN/pictures/0001000.png */
export const pictureAt = (folder: string, step: number): string => join(folder, "pictures", `${String(step).padStart(7, "0")}.png`);

/** Opens the record of a training that goes on after step `from`; what was told of later steps is taken back. */
export async function openRecord(options: {
  folder: string;
  name: string;
  steps: number;
  batch: number;
  from: number;
  /** How the method's figures belong together, and what is read off them. */
  groups: readonly FigureGroup[];
  rules: readonly Rule[];
  /** How what is made is sampled, in words. */
  sampling?: string;
  adorn: Adorn;
  context: Context;
}): Promise<RunRecord> {
  const { folder, name, steps, batch, from, groups, rules, sampling, adorn, context } = options;
  await mkdir(folder, { recursive: true });
  await adorn("the pictures of an earlier try", () => takeBack(folder, from));
  const metrics = join(folder, "metrics.jsonl");
  const history = await keepHistory(metrics, from);
  let events = await adorn("TensorBoard's events", () => openEventFile({ folder: join(folder, "tensorboard"), from }));
  const settings = await adorn("its settings on the page", () => readFile(join(folder, "settings.yaml"), "utf8"));
  let lines = "";
  let step = from;
  let picture = await adorn("the newest picture on the page", () => newestPicture(folder, from));
  let findings: Finding[] = [];
  let [written, isMeasured] = [Number.NEGATIVE_INFINITY, false];
  const marks: { done: number; at: number }[] = []; // of the last minutes, for the rate

  async function flush(state: RunState["state"] = "training", reason?: string): Promise<void> {
    const before = new Set(findings.map((finding) => finding.name));
    findings = findingsOf(history, rules);
    for (const found of findings) {
      if (before.has(found.name)) continue;
      context.report({ type: "warning", stage: name, message: `${found.name} at step ${step}: ${found.seen}. Try: ${found.remedy}` });
    }
    const [text, isNew] = [lines, isMeasured];
    [lines, isMeasured] = ["", false];
    await appendFile(metrics, text);
    if (events && !(await adorn("TensorBoard's events", events.flush))) events = undefined; // what follows a torn record is not read
    await adorn("distance.svg", async () => {
      const chart = isNew ? distanceChart(history, batch) : undefined;
      if (chart) await writeAtomic(join(folder, "distance.svg"), String(chart));
    });
    await adorn("run.html", async () => {
      const now = { rate: rateOf(marks), time: new Date(), folder: basename(resolve(folder)) };
      const page = runPage({ name, state, reason, step, steps, batch, history, groups, findings, picture, settings, sampling, ...now });
      await writeAtomic(join(folder, "run.html"), page);
    });
    written = performance.now();
  }

  return {
    log: (line) => {
      const { step: at, ...values } = line;
      history.push(line);
      lines += `${JSON.stringify(line)}\n`;
      isMeasured ||= "distance" in values;
      events?.scalars(at, Object.fromEntries(Object.entries(values).map(([key, value]) => [tagOf(key, groups), value])));
    },
    passed: async (done) => {
      step = done;
      const now = performance.now();
      if (marks.length === 0 || now - marks.at(-1)!.at > 1000) marks.push({ done, at: now });
      while (marks.length > 120) marks.shift();
      if (now - written > PAGE_EVERY) await flush();
    },
    pictured: async (at) => {
      const png = await adorn("the newest picture on the page", () => contentOf(pictureAt(folder, at)));
      if (!png) return;
      picture = { step: at, png };
      events?.picture(at, { tag: "samples", png, width: png.readUInt32BE(16), height: png.readUInt32BE(20) }); // of the PNG's IHDR
    },
    flush: () => flush(),
    end: (state, reason) => flush(state, reason),
  };
}

/** Milliseconds between two pages. */
const PAGE_EVERY = 20_000;

/** TensorBoard puts what stands before the slash into one section. */
function tagOf(figure: string, groups: readonly FigureGroup[]): string {
  if (["distance", "diversity", "precision", "recall"].includes(figure)) return `samples/${figure}`;
  const { section = "training" } = groups.find(({ figures }) => figure in figures) ?? {};
  return `${section}/${section === "training" ? figure : figure.replace(/^[a-z]_/, "")}`;
}

async function newestPicture(folder: string, from: number): Promise<RunState["picture"]> {
  const newest = (await picturedSteps(folder)).filter((step) => step <= from).at(-1);
  return newest !== undefined && from > 0 ? { step: newest, png: await readFile(pictureAt(folder, newest)) } : undefined;
}

/** Removes the pictures of steps after `from`, and all that adorned another run where this one begins anew. */
async function takeBack(folder: string, from: number): Promise<void> {
  await removeTemporaries(join(folder, "pictures"), { all: true });
  for (const step of await picturedSteps(folder)) if (step > from) await rm(pictureAt(folder, step), { force: true });
  if (from === 0) await rm(join(folder, "distance.svg"), { force: true });
}

/** The steps of which there is a picture, ascending. */
async function picturedSteps(folder: string): Promise<number[]> {
  const steps = (await namesIn(join(folder, "pictures"))).flatMap((name) =>
    /^\d{7,}\.png$/.test(name) ? [Number.parseInt(name, 10)] : [],
  );
  return steps.sort((a, b) => a - b);
}

/** A file's bytes; undefined where there is none. */
async function contentOf(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch(absent);
}
