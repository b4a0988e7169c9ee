/**
 * Makes docs/RESULTS.md, its charts and the README's tables from the files in docs/results: `npm run results`. No figure is typed;
 * a test compares. To replace a result, repeat its command with the same `--out`, then run this.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chartFile, chartMarks, drawChart } from "./results/charts.ts";
import { type Records, recordsOf } from "./results/records.ts";
import { renderRegions, renderTemplate } from "./results/template.ts";

const at = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

/** Where the records are. */
export const resultsFolder = at("docs/results");

/** The pages by path, as the records make them; `records.used` says of which files. */
export function resultPages(records: Records = recordsOf(resultsFolder)): Record<string, string> {
  const template = readFileSync(at("docs/results/RESULTS.template.md"), "utf8");
  const readme = readFileSync(at("README.md"), "utf8");
  const charts = chartMarks(template).map((mark) => [join(resultsFolder, chartFile(mark)), drawChart(mark, records)]);
  return {
    ...Object.fromEntries(charts),
    [at("docs/RESULTS.md")]: renderTemplate(template, records),
    [at("README.md")]: renderRegions(readme, records),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of Object.entries(resultPages())) writeFileSync(path, text);
}
