/** RUN/run.html: one document that needs nothing else, tells how a training stands, and loads itself anew while it goes on. */
import { durationInWords, numberInWords } from "../../schemas/words.ts";
import { escaped } from "../picture/chart.ts";
import { distanceChart, historyCharts } from "./charts.ts";
import { type FigureGroup, type Finding, type Line, namesOf } from "../../schemas/figures.ts";

export interface RunState {
  /** The run folder's name, and what is trained. */
  folder: string;
  name: string;
  state: "training" | "finished" | "ended early" | "stopped";
  /** Why, where it was stopped. */
  reason?: string;
  step: number;
  steps: number;
  batch: number;
  /** Steps a second of late; 0 while unknown. */
  rate: number;
  /** When this was true. */
  time: Date;
  history: readonly Line[];
  /** How the figures belong together. */
  groups: readonly FigureGroup[];
  findings: readonly Finding[];
  /** The newest grid. */
  picture?: { step: number; png: Uint8Array };
  /** settings.yaml. */
  settings?: string;
}

/** Seconds after which a page of a training that goes on is loaded anew. */
const REFRESH = 20;

export function runPage(run: RunState): string {
  const { folder, name, state, reason, step, steps, batch, findings, history, picture, settings } = run;
  const refresh = state === "training" ? `\n<meta http-equiv="refresh" content="${REFRESH}">` : "";
  const distance = distanceChart(history, batch);
  const charts = [...(distance ? [distance] : []), ...historyCharts(history, run.groups)];
  const words = findings.map(({ name, seen, remedy }) => {
    return `<li><b>${escaped(name)}</b>: ${escaped(seen)}. <span>Try: ${escaped(remedy)}.</span></li>`;
  });
  const health = words.length > 0 ? `<ul class="ill">${words.join("\n")}</ul>` : '<p class="well">Nothing known to go wrong is seen.</p>';
  const url = picture && `data:image/png;base64,${Buffer.from(picture.png).toString("base64")}`;
  const image = `<img alt="Grid of samples at step ${picture?.step}" src="${url}">`;
  const grid = picture && `<section><h2>Samples at step ${picture.step}</h2>${image}</section>`;
  const again = refresh && ` This page loads itself anew every ${REFRESH} seconds.`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">${refresh}
<title>${Math.floor((100 * step) / steps)} % ${escaped(folder)} - onestep ${escaped(name)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<header><h1>${escaped(folder)} <span class="soft">${escaped(name)}, ${state}${reason ? `: ${escaped(reason)}` : ""}</span></h1>
<progress value="${step}" max="${steps}" aria-label="steps done"></progress>
<p>${progressInWords(run)}</p>
<p class="soft">As of ${run.time.toISOString().replace("T", " ").slice(0, 19)} UTC.${again}</p></header>
<main>
<section><h2>Health</h2>
${health}</section>
${grid ?? ""}
<section><h2>Figures</h2>${latestTable(history)}
<div class="charts">
${charts.map((chart) => `<figure>${chart}</figure>`).join("\n")}
</div></section>
${settings ? `<section><h2>Settings</h2><details><summary>settings.yaml</summary><pre>${escaped(settings)}</pre></details></section>` : ""}
</main>
</body>
</html>
`;
}

function progressInWords({ state, step, steps, batch, rate }: RunState): string {
  const facts = [`step ${step} of ${steps}`, `${Math.floor((100 * step) / steps)} %`, `${step * batch} images seen`];
  if (state === "training" && rate > 0) {
    const left = durationInWords((steps - step) / rate);
    facts.push(`${numberInWords(rate)} steps/s`, `${numberInWords(rate * batch)} images/s`, `${left} left`);
  }
  return facts.join(", ");
}

/** The latest value of every figure. */
function latestTable(history: readonly Line[]): string {
  const rows = namesOf(history).map((name) => [name, history.findLast((line) => name in line)?.[name] as number] as const);
  if (rows.length === 0) return "<p>None yet.</p>";
  return `<dl>${rows.map(([name, value]) => `<div><dt>${escaped(name)}</dt><dd>${numberInWords(value)}</dd></div>`).join("")}</dl>`;
}

const style = `
:root {
  color-scheme: light dark;
  --paper: #fff; --line: #d5d9e0; --ink: #1b1f27; --soft: #59616f; --accent: #1f5fc4; --bad: #b3261e; --warn: #fdf3e3; --good: #1a7a43;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171c; --line: #39404c; --ink: #e7eaf0; --soft: #a3acba; --accent: #8ab4ff; --bad: #ff8a80; --warn: #2b2418; --good: #6fcf97; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 92rem; padding: .75rem 1.25rem 3rem; }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.2rem; margin: .25rem 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
p { margin: .25rem 0; }
.soft { color: var(--soft); font-weight: normal; }
progress { width: 100%; height: .6rem; accent-color: var(--accent); }
.ill { background: var(--warn); border-left: 4px solid var(--bad); margin: 0; padding: .6rem .75rem .6rem 2rem; }
.ill span { color: var(--soft); }
.well { color: var(--good); }
img { max-width: 100%; height: auto; image-rendering: pixelated; }
dl { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .25rem 0 1rem; }
dl div { display: flex; gap: .4rem; }
dt { color: var(--soft); }
dd { margin: 0; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: .5rem; }
figure svg { width: 100%; height: auto; display: block; }
pre { overflow-x: auto; }
`;
