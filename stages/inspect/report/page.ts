/** The report's page: one HTML document that needs nothing else. */
import { packageText } from "../../../schemas/package.ts";
import type { Manifest } from "../../../schemas/manifest.ts";
import type { GalleryRow } from "./row.ts";
import { script } from "./script.ts";
import { escaped } from "../../picture/svg.ts";
import type { Sections } from "./sections.ts";

const reading = '<p>Reading every row once: <progress id="reading" aria-label="shards read"></progress></p>';

/** The page runs its own script and style, shows pictures it holds or its server has, and reaches nothing else. */
const policy = [
  ...["default-src 'none'", "img-src data: 'self'", "style-src 'unsafe-inline'", "script-src 'unsafe-inline'", "connect-src 'self'"],
].join("; ");

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
  const { overview = reading, channels = "", shards = "", quarantine = "" } = sections ?? {};
  const classes = manifest.classes.map((label, i) => `<option value="${i}">${escaped(label)}</option>`).join("");
  const example = escaped("label = 3 and caption like '%cat%'");
  const condition = `<label class="grow">Condition, as of --where
<input id="where" autocomplete="off" spellcheck="false" placeholder="${example}"></label>`;
  const section = (id: string, heading: string, body: string) => `<section id="${id}" aria-labelledby="${id}-heading">
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
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escaped(name)} - onestep store</title>
<link rel="icon" href="data:,">
<style>${packageText("stages/inspect/report/report.css")}</style>
</head>
<body${live ? " data-live" : ""}>
<a class="skip" href="#gallery-heading">To the gallery</a>
<header><div class="inner"><h1>${escaped(name)} <span class="soft">store of ${manifest.kind}</span></h1>
<nav aria-label="Sections">${links.map(([id, name]) => `<a href="#${id}">${name}</a>`).join("")}</nav></div></header>
<main>
${section("overview", "Overview", overview)}
<section id="rows-section" aria-labelledby="gallery-heading"><h2 id="gallery-heading" tabindex="-1">Gallery</h2>
<p class="soft">${escaped(selection ?? "Every row of the store, decoded on demand.")}${isTriples ? " Noise left, image right." : ""}
Arrow keys move, <kbd>Enter</kbd> opens, <kbd>Page Up</kbd> and <kbd>Page Down</kbd> turn pages.</p>
<div class="tools">
${classes ? `<label>Class<select id="class"><option value="">all</option>${classes}</select></label>` : ""}
<label class="grow">Words in the ${isTriples ? "caption" : "name or caption"}<input id="words" type="search" autocomplete="off"></label>
${live ? condition : ""}
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
<footer>Made by onestep ${escaped(version)} from a store of format version ${manifest.version}.</footer>
<dialog id="close-up" aria-labelledby="close-up-title">
<div class="pager">
<button type="button" id="earlier">Earlier</button>
<button type="button" id="later">Later</button>
<button type="button" id="shut">Close</button>
</div>
<h2 id="close-up-title" tabindex="-1" autofocus></h2>
<div id="close-up-pictures" class="pictures"></div><dl id="close-up-facts"></dl></dialog>
${rows ? `<script type="application/json" id="rows">${JSON.stringify(rows).replaceAll("<", "\\u003c")}</script>` : ""}
<script>${script}</script>
</body>
</html>
`;
}
