/** The page's HTML: all its words and controls, for what the model takes; browser/page.ts brings them to life. */
import type { OnestepJson } from "../../../schemas/onestep-json.ts";
import { headOf } from "../../picture/head.ts";
import { type Markup, markup } from "../../picture/markup.ts";
import { callsOf } from "./choices.ts";
import { longestCaption } from "./link.ts";

/** Pictures in the grid of variations. */
const VARIATIONS = 12;
const fewNames = 24; // as many classes are buttons; more are a list to choose from

/** What the page may do: run and wear the site's own files, run WebAssembly, and ask the server that it came from. */
export const sitePolicy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** `captions` are examples to begin with; `modules` are the files of its code, which the browser may load at once. */
export function pageOf(options: {
  model: OnestepJson;
  teacher: OnestepJson | undefined;
  title: string;
  captions: readonly string[];
  modules: readonly string[];
  entry: string;
  version: string;
}): string {
  const { model, teacher, title, captions, modules, entry, version } = options;
  const { image, condition } = model;
  const calls = callsOf(model);
  const canvas = (id: string, words: string) =>
    markup`<canvas id="${id}" width="${image.width}" height="${image.height}" role="img" aria-label="${words}"></canvas>`;
  const pixels = markup`<button type="button" id="pixels" aria-pressed="false">Pixels</button>`;
  const teacherCalls = teacher && callsOf(teacher)[0];
  const isSmall = Math.max(image.width, image.height) < 160; // shown several times as large
  const rest = markup`<meta name="description" content="A one-step image generator that runs in this browser.">
<meta name="theme-color" content="#f6f3ee" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#171513" media="(prefers-color-scheme: dark)">
<link rel="stylesheet" href="page.css">
${modules.map((file) => markup`<link rel="modulepreload" href="${file}">\n`)}<script type="module" src="${entry}"></script>`;
  const page = markup`${headOf({ policy: sitePolicy, title: `${title} - onestep`, rest })}
<body class="loading">
<a class="skip" href="#desk">To the controls</a>
<header><p class="mark">onestep</p><h1>${title}</h1><p id="engine" role="status"></p></header>
<main>
<section id="easel" aria-label="Picture">
<div class="frames">
<figure><div class="mat">${canvas("picture", "The picture")}
<div id="loading"><p id="loading-words">Opening</p><progress id="bar" max="1" aria-label="loaded"></progress>
<p id="stuck">This page has not started. It needs a current browser with JavaScript, and a file server, such as
<code>pipeline serve FOLDER</code>: it cannot be opened as a file.</p></div></div>
<figcaption><span id="legend">&nbsp;</span>${isSmall ? pixels : undefined}</figcaption></figure>
${
  teacher &&
  markup`<figure id="teacher" hidden><div class="mat">${canvas("teacher-picture", "The teacher's picture")}
<progress id="teacher-bar" max="1" aria-label="calls of the teacher"></progress></div>
<figcaption id="teacher-legend">The teacher, ${teacherCalls} calls</figcaption></figure>`
}
</div>
<noscript><p class="trouble">This page draws with a network in your browser, which needs JavaScript.</p></noscript>
<p id="trouble" class="trouble" role="alert" hidden></p>
</section>
<section id="desk" aria-label="Controls" tabindex="-1">
${conditionOf(condition, captions)}
<div class="row">
<button type="button" id="another" class="main">Another one <kbd>N</kbd></button>
<label class="seed">Seed<input id="seed" inputmode="numeric" autocomplete="off" maxlength="13" spellcheck="false"></label>
</div>
${
  calls.length === 1
    ? undefined
    : markup`<fieldset class="calls"><legend>Network calls</legend>${[...calls]
        .sort((a, b) => a - b)
        .map((count) => markup`<label><input type="radio" name="calls" value="${count}"><span>${count}</span></label>`)}</fieldset>`
}
<fieldset class="walk"><legend>Walk to another noise</legend>
<div class="path">
<span class="end">${canvas("from", "Where the walk starts")}</span>
<input id="walk" type="range" min="0" max="1000" value="0" aria-label="Way from one noise to the other">
<button type="button" id="other-end" class="end" aria-label="Walk to another noise">${canvas("to", "Where the walk ends")}</button>
</div>
<button type="button" id="play" aria-pressed="false"><span>Play</span> <kbd>Space</kbd></button>
</fieldset>
<div class="row keep">
<button type="button" id="save">Save PNG <kbd>S</kbd></button>
<button type="button" id="copy">Copy link <kbd>L</kbd></button>
${teacher && markup`<button type="button" id="compare" aria-pressed="false">Beside its teacher <kbd>T</kbd></button>`}
</div>
<p id="told" role="status"></p>
</section>
<section id="sheet" aria-labelledby="sheet-heading">
<h2 id="sheet-heading">Variations</h2>
<div id="grid" role="group" aria-labelledby="sheet-heading">${Array.from(
    { length: VARIATIONS },
    (_, i) => markup`<button type="button" tabindex="${i === 0 ? 0 : -1}">${canvas(`variation-${i}`, `Variation ${i + 1}`)}</button>\n`,
  )}</div>
</section>
</main>
<footer>
<p>Drawn here, in this browser: no picture, word or number leaves it. Seed and number name the noise, so a link is always the same
picture, and <code>pipeline sample --seed</code> draws it too.</p>
<p>Made by onestep ${version}. Licence of the weights: ${model.licence}.</p>
</footer>
</body>
</html>
`;
  return String(page);
}

/** What the model is told: a caption, with examples; a class; or nothing. */
function conditionOf(condition: OnestepJson["condition"], captions: readonly string[]): Markup | undefined {
  if ("captions" in condition) {
    const examples = captions.map((words) => markup`<button type="button" class="example">${words}</button>\n`);
    return markup`<label class="caption" for="caption"><span>What shall it be? <kbd>/</kbd></span></label>
<textarea id="caption" rows="2" maxlength="${longestCaption}" autocomplete="off" autocapitalize="off" spellcheck="false"
enterkeyhint="done"></textarea>
${examples.length > 0 ? markup`<div class="examples" role="group" aria-label="Examples">${examples}</div>` : undefined}`;
  }
  if (!("names" in condition)) return undefined;
  const { names } = condition;
  if (names.length > fewNames) {
    const choices = names.map((name, i) => markup`<option value="${i}">${name}</option>`);
    return markup`<label class="caption" for="class"><span>What shall it be?</span></label><select id="class">${choices}</select>`;
  }
  const choices = names.map((name, i) => markup`<label><input type="radio" name="class" value="${i}"><span>${name}</span></label>`);
  return markup`<fieldset class="classes"><legend>What shall it be?</legend>${choices}</fieldset>`;
}
