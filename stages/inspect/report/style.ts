/** The report's looks: colours by name for light and dark, then layout from top to bottom of the page. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f6f8; --line: #d5d9e0; --ink: #1b1f27; --soft: #59616f;
  --accent: #1f5fc4; --second: #b4560c; --bar: #5b8fde; --band: #c9daf6; --good: #1a7a43; --bad: #b3261e; --warn-paper: #fdf3e3;
  --focus: #0b57d0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171c; --panel: #1d2128; --line: #39404c; --ink: #e7eaf0; --soft: #a3acba;
    --accent: #8ab4ff; --second: #f0a860; --bar: #5a86cc; --band: #2c3f60; --good: #6fcf97; --bad: #ff8a80; --warn-paper: #2b2418;
    --focus: #a8c7ff;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 3.5rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main, header .inner, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
header { position: sticky; top: 0; z-index: 2; background: var(--paper); border-bottom: 1px solid var(--line); }
header .inner { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline; padding-top: .6rem; padding-bottom: .6rem; }
h1 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; max-width: 48rem; }
.soft { color: var(--soft); }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; z-index: 3; background: var(--paper); padding: .25rem .5rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 3px; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.25rem 0; padding: 0; list-style: none; }
.figures li { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; }
.figures b { display: block; font-size: 1.25rem; font-weight: 600; overflow-wrap: anywhere; }
.figures span { color: var(--soft); font-size: .85rem; }
.health { list-style: none; padding: 0; margin: 1rem 0; display: grid; gap: .5rem; }
.health li { background: var(--warn-paper); border-left: 4px solid var(--second); border-radius: 4px; padding: .5rem .8rem; }
.health li.well { background: var(--panel); border-color: var(--good); }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .15rem 1.25rem; margin: 1rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
progress { width: 14rem; max-width: 100%; accent-color: var(--accent); }

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .75rem; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .75rem .5rem; }
figure.wide { grid-column: 1 / -1; }
figcaption { font-size: .85rem; color: var(--soft); }
figcaption b { color: var(--ink); font-weight: 600; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 10px system-ui, sans-serif; }
svg .bar { fill: var(--bar); }
svg .band { fill: var(--band); }
svg .axis { stroke: var(--line); }
svg .whisker { stroke: var(--soft); }
svg .line { fill: none; stroke: var(--accent); stroke-width: 1.5; }
svg .dot { fill: var(--accent); }
svg .curve { fill: none; stroke: var(--second); stroke-width: 1.5; }
.bars { display: grid; grid-template-columns: minmax(3rem, max-content) 1fr max-content; gap: .15rem .75rem; align-items: center; max-width: 48rem; }
.bars i { display: block; height: .8rem; background: var(--bar); border-radius: 0 3px 3px 0; min-width: 2px; }
.bars span:last-child, .number { font-variant-numeric: tabular-nums; text-align: right; }

.plot { overflow-x: auto; }
.wide svg { min-width: 50rem; }
.scroll { overflow: auto; width: fit-content; max-width: 100%; max-height: 24rem; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; min-width: 20rem; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .75rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.wrap { white-space: normal; min-width: 16rem; }
th { position: sticky; top: 0; background: var(--panel); font-weight: 600; }
th.number, td.number { text-align: right; }
tbody tr:last-child td { border-bottom: 0; }
.damaged { color: var(--bad); font-weight: 600; }
.missing { color: var(--second); }

.tools { display: flex; flex-wrap: wrap; gap: .75rem 1rem; align-items: end; margin: .75rem 0; }
.tools label { display: grid; gap: .15rem; font-size: .85rem; color: var(--soft); }
.tools label.grow { flex: 1 1 18rem; }
input, select, button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: .35rem .6rem; }
button { background: var(--panel); cursor: pointer; }
button:disabled { color: var(--soft); cursor: default; opacity: .6; }
.link { border: 0; background: none; padding: 0; color: var(--accent); text-decoration: underline; }
.pager { display: flex; gap: .5rem; align-items: center; margin: .75rem 0; flex-wrap: wrap; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .75rem; min-height: 8rem; }
.card { display: flex; flex-direction: column; gap: .4rem; text-align: left; padding: .5rem; border-radius: 8px; }
.card:hover { border-color: var(--accent); }
.card .pictures { display: flex; gap: 4px; }
.card img { flex: 1 1 0; min-width: 0; width: 100%; aspect-ratio: 1; image-rendering: pixelated; background: var(--line); border-radius: 3px; }
.card .words { font-size: .85rem; overflow: hidden; display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow-wrap: anywhere; }
.card .words b { font-variant-numeric: tabular-nums; font-weight: 600; }
.error { color: var(--bad); }
dialog { width: min(52rem, calc(100vw - 2rem)); max-height: calc(100vh - 2rem); border: 1px solid var(--line); border-radius: 10px; background: var(--paper); color: var(--ink); padding: 1rem 1.25rem; }
dialog::backdrop { background: rgb(0 0 0 / .55); }
dialog .pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
dialog h2 { margin: .75rem 0; outline: none; }
dialog figure { flex: 1 1 7rem; max-width: 24rem; }
dialog img { display: block; width: 100%; image-rendering: pixelated; }
dialog .pager { position: sticky; top: -1rem; z-index: 1; margin: -1rem -1.25rem 0; padding: .75rem 1.25rem; background: var(--paper); border-bottom: 1px solid var(--line); }
dialog #shut { margin-left: auto; }
footer { color: var(--soft); font-size: .85rem; padding-top: 2rem; padding-bottom: 2rem; }
kbd { border: 1px solid var(--line); border-radius: 4px; padding: 0 .3rem; font: .8rem ui-monospace, monospace; background: var(--panel); }
@media (max-width: 40rem) {
  header { position: static; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
  .gallery { grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
`;
