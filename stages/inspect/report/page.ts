/** The report's page: one HTML document that needs nothing else. */
import { packageText } from "../../../schemas/package.ts";
import type { Manifest } from "../../../schemas/manifest.ts";
import type { GalleryRow } from "./row.ts";
import { script } from "./script.ts";
import { headOf } from "../../picture/head.ts";
import { jsonMarkup, type Markup, markup, trusted } from "../../picture/markup.ts";
import { pagePolicy } from "../../picture/policy.ts";
import type { Sections } from "./sections.ts";

const reading = markup`<p>Reading every row once: <progress id="reading" aria-label="shards read"></progress></p>`;
const style = packageText("stages/inspect/report/report.css");

/** What the page may do: run its own script, and ask its server where it has one. The server says it too. */
export const reportPolicy = (live: boolean): string => pagePolicy({ styles: [style], scripts: [script], asks: live });

/** The page of a store. Without `sections` and `rows` it is a live one, which asks the server it came from for both. */
export function pageOf(options: {
  name: string;
  manifest: Manifest;
  version: string;
  sections?: Sections;
  rows?: GalleryRow[];
  selection?: string;
}): string {
  const { name, manifest, version, sections, rows, selection } = options;
  const live = rows === undefined;
  const isTriples = manifest.kind === "triples";
  const { overview = reading, channels, shards, quarantine } = sections ?? {};
  const classes = manifest.classes.map((label, i) => markup`<option value="${i}">${label}</option>`);
  const example = "label = 3 and caption like '%cat%'";
  const condition = markup`<label class="grow">Condition, as of --where
<input id="where" autocomplete="off" spellcheck="false" placeholder="${example}"></label>`;
  const section = (id: string, heading: string, body: Markup | undefined) => markup`<section id="${id}" aria-labelledby="${id}-heading">
<h2 id="${id}-heading">${heading}</h2>
<div id="${id}-body">${body}</div>
</section>`;
  const links = [
    ["overview", "Overview"],
    ["rows-section", "Gallery"],
    ["channels", "Channels"],
    ["shards", "Shards"],
    ["quarantine", "Quarantine"],
  ];
  const rest = markup`<style>${trusted(style)}</style>`;
  const page = markup`${headOf({ policy: reportPolicy(live), title: `${name} - onestep store`, rest })}
<body${live ? markup` data-live` : undefined}>
<a class="skip" href="#gallery-heading">To the gallery</a>
<header><div class="inner"><h1>${name} <span class="soft">store of ${manifest.kind}</span></h1>
<nav aria-label="Sections">${links.map(([id, name]) => markup`<a href="#${id}">${name}</a>`)}</nav></div></header>
<main>
${section("overview", "Overview", overview)}
<section id="rows-section" aria-labelledby="gallery-heading"><h2 id="gallery-heading" tabindex="-1">Gallery</h2>
<p class="soft">${selection ?? "Every row of the store, decoded on demand."}${isTriples ? " Noise left, image right." : ""}
Arrow keys move, <kbd>Enter</kbd> opens, <kbd>Page Up</kbd> and <kbd>Page Down</kbd> turn pages.</p>
<div class="tools">
${classes.length > 0 ? markup`<label>Class<select id="class"><option value="">all</option>${classes}</select></label>` : undefined}
<label class="grow">Words in the ${isTriples ? "caption" : "name or caption"}<input id="words" type="search" autocomplete="off"></label>
${live ? condition : undefined}
</div>
<p id="error" class="error" role="alert"></p>
<div class="pager">
<button type="button" id="before">Earlier</button>
<button type="button" id="after">Later</button>
<span id="status" role="status"></span>
</div>
<div id="gallery" class="gallery" role="group" aria-label="Rows"></div>
</section>
${section("channels", "Channels", channels)}
${section("shards", "Shards", shards)}
${section("quarantine", "Quarantine", quarantine)}
</main>
<footer>Made by onestep ${version} from a store of format version ${manifest.version}.</footer>
<dialog id="close-up" aria-labelledby="close-up-title">
<div class="pager">
<button type="button" id="earlier">Earlier</button>
<button type="button" id="later">Later</button>
<button type="button" id="shut">Close</button>
</div>
<h2 id="close-up-title" tabindex="-1" autofocus></h2>
<div id="close-up-pictures" class="pictures"></div><dl id="close-up-facts"></dl></dialog>
${rows && markup`<script type="application/json" id="rows">${jsonMarkup(rows)}</script>`}
<script>${trusted(script)}</script>
</body>
</html>
`;
  return String(page);
}
