/** RUN/run.html: one document that needs nothing else, tells how a training stands, and loads itself anew while it goes on. */
import { packageText } from "../../schemas/package.ts";
import { durationInWords, numberInWords } from "../../schemas/words.ts";
import { headOf } from "../picture/head.ts";
import { type Markup, markup, trusted } from "../picture/markup.ts";
import { pagePolicy } from "../picture/policy.ts";
import { distanceChart, historyCharts, latestFigures } from "./charts.ts";
import type { FigureGroup, Finding, Line } from "../../schemas/figures.ts";

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
  /** How what is made is sampled, and by how many network calls. */
  sampling?: string;
}

/** Seconds after which a page of a training that goes on is loaded anew, unless its reader holds it: who reads slowly loses no place. */
const REFRESH = 20;
const again = `const box = document.getElementById("again");
box.checked = location.hash !== "#held";
box.addEventListener("change", () => { location.hash = box.checked ? "" : "held"; });
setInterval(() => { if (box.checked) location.reload(); }, ${REFRESH * 1000});`;

/** The HTML of a training's page. */
export function runPage(run: RunState): string {
  const { folder, name, state, reason, step, steps, batch, findings, history, picture, settings, sampling } = run;
  const isLive = state === "training";
  const distance = distanceChart(history, batch);
  const charts = [...(distance ? [distance] : []), ...historyCharts(history, run.groups)];
  const words = findings.map(({ name, seen, remedy }) => {
    return markup`<li><b>${name}</b>: ${seen}. <span>Try: ${remedy}.</span></li>`;
  });
  const health = words.length > 0 ? markup`<ul class="ill">${words}</ul>` : markup`<p class="well">Nothing known to go wrong is seen.</p>`;
  const url = picture && `data:image/png;base64,${Buffer.from(picture.png).toString("base64")}`;
  const image = markup`<img alt="Grid of samples at step ${picture?.step}" src="${url}">`;
  const grid = picture && markup`<section><h2>Samples at step ${picture.step}</h2>${image}</section>`;
  const drawn = sampling && markup`<p>Samples: ${sampling}.</p>\n`;
  const everyWords = `Load this page anew every ${REFRESH} seconds`;
  const box = isLive ? markup` <label><input type="checkbox" id="again" checked> ${everyWords}</label>` : undefined;
  const details = markup`<details><summary>settings.yaml</summary><pre>${settings}</pre></details>`;
  const written = settings ? markup`<section><h2>Settings</h2>${details}</section>` : undefined;
  const style = packageText("stages/runs/page.css");
  const scripts = isLive ? [again] : [];
  const title = `${Math.floor((100 * step) / steps)} % ${folder} - onestep ${name}`;
  const page = markup`${headOf({ policy: pagePolicy({ styles: [style], scripts }), title, rest: markup`<style>${trusted(style)}</style>` })}
<body>
<header><h1>${folder} <span class="soft">${name}, ${state}${reason ? `: ${reason}` : ""}</span></h1>
<progress value="${step}" max="${steps}" aria-label="steps done"></progress>
<p>${progressInWords(run)}</p>
${drawn}<p class="soft">As of ${run.time.toISOString().replace("T", " ").slice(0, 19)} UTC.${box}</p></header>
<main>
<section><h2>Health</h2>
${health}</section>
${grid}
<section><h2>Figures</h2>${latestTable(run)}
<div class="charts">
${charts.map((chart) => markup`<figure tabindex="0">${chart}</figure>\n`)}
</div></section>
${written}
</main>
${scripts.map((script) => markup`<script>${trusted(script)}</script>\n`)}</body>
</html>
`;
  return String(page);
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
function latestTable({ history, groups }: RunState): Markup {
  const rows = latestFigures(history, groups);
  if (rows.length === 0) return markup`<p>None yet.</p>`;
  const value = (of: { words: string; value: number }) => markup`<dd>${of.words} <b>${numberInWords(of.value)}</b></dd>`;
  return markup`<dl>${rows.map(({ title, values }) => markup`<div><dt>${title}</dt>${values.map(value)}</div>`)}</dl>`;
}
