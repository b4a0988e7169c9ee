/** The page's script: the source of one function, which the loader (in a checkout) or the build has freed of its types. */
const file = import.meta.url.endsWith(".ts") ? "report.ts" : "report.js";
// A path that is computed keeps the browser's types out of this program: they are checked by browser/tsconfig.json.
const { runReport } = (await import(new URL(`./browser/${file}`, import.meta.url).href)) as { runReport: () => void };

/** What stands in the page's script element. The loader names functions by a helper `__name`, which the page must bring along. */
export const script = `"use strict";
{
  const __name = (named) => named;
  (${runReport.toString()})();
}`;
