/**
 * Pages with marks, which become tables made of the records. A mark that names a file which is not there is an error:
 *
 *   <!-- evaluation demo.json: floor; student; other.json student "trained for longer"; teacher -->     a row a subject
 *   <!-- summary demo.json "the demo"; methods.json d2o "Fashion-MNIST" -->                             a row a file; of a study's variant
 *   <!-- study regression.json -->      <!-- bench store.json -->      <!-- reconstruction a.json -->   the whole table
 *   <!-- methods methods-fashion.json -->                                     of a study of methods, what a README shows
 *   <!-- made demo.json -->                                                                             command and machine
 *   <!-- chart methods-fashion.json calls "words for who cannot see it" -->                             a picture, drawn beside its file
 *   {{demo.json student.recall}}   {{demo.json student.frechetDistance / teacher.frechetDistance}}      a figure in a sentence
 */
import type { Records } from "./records.ts";
import { chartFile, chartMark } from "./charts.ts";
import { digits, percent, plusMinus } from "./numbers.ts";
import { rowsBesideTeacher } from "./methods-table.ts";
import { benchTable, evaluationTable, figuresOf, madeText, reconstructionTable, studyTable, summaryTable, table } from "./tables.ts";

/** The page that a template makes. Throws an error that names the mark where one cannot be read. */
export function renderTemplate(template: string, records: Records): string {
  const page = template
    .replace(/<!-- (evaluation|summary|study|methods|bench|reconstruction|chart|made) (.+?) -->/g, (_, kind: string, rest: string) =>
      renderMark(`${kind} ${rest}`, records),
    )
    .replace(/\{\{(\S+)\s+([^}]+?)\}\}/g, (_, file: string, expression: string) => figureIn(file, expression, records));
  const [left] = /\{\{.*|<!-- (?:evaluation|summary|study|methods|bench|reconstruction|chart|made|with|end) .*/.exec(page) ?? [];
  if (left !== undefined) throw new Error(`Cannot read the mark "${left}": see the first lines of test/bench/results/template.ts`);
  return page;
}

/** The table of a README: what stands between `<!-- results: MARK -->` and `<!-- /results -->` is made anew. */
export function renderRegions(page: string, records: Records): string {
  return page.replace(
    /(<!-- results: (.+?) -->\n)[\s\S]*?(<!-- \/results -->)/g,
    (_, open: string, mark: string, close: string) => `${open}\n${renderMark(mark, records)}\n\n${close}`,
  );
}

function renderMark(mark: string, records: Records): string {
  const [kind = "", rest = ""] = /^(\S+) (.*)$/.exec(mark)?.slice(1) ?? [];
  const [file = "", list] = rest.split(/: (.*)/);
  if (kind === "evaluation" && list !== undefined)
    return evaluationTable(
      records,
      list.split("; ").map((item) => wanted(item, file)),
    );
  if (kind === "summary") return summaryTable(records, rest.split("; ").map(labelled));
  if (kind === "study") return studyTable(records.read(rest, "onestep-study"));
  if (kind === "methods") return table(rowsBesideTeacher(records.read(rest, "onestep-study")));
  if (kind === "reconstruction") return reconstructionTable(records.read(rest, "onestep-reconstruction"));
  if (kind === "bench") return benchTable(records.read(rest, "onestep-bench"));
  if (kind === "chart") {
    const mark = chartMark(rest);
    records.read(mark.file);
    return `![${mark.words}](results/${chartFile(mark)})`;
  }
  if (kind === "made") return madeText(records.read(rest));
  throw new Error(`Cannot read the mark "${mark}": see the first lines of test/bench/results/template.ts`);
}

/** As in `student`, `student "label"` or `other.json student "label"`. */
function wanted(item: string, usual: string): { file: string; role: string; label?: string } {
  const [, file = usual, role, label] = /^(?:(\S+\.json) )?(\w+)(?: "(.+)")?$/.exec(item.trim()) ?? [];
  if (role === undefined) throw new Error(`Cannot read "${item}" in a mark: expected a role as in student "label"`);
  return { file, role, ...(label !== undefined && { label }) };
}

/** As in `FILE.json "label"` of an evaluation, `FILE.json d2o "label"` of a study's variant. */
function labelled(item: string): { file: string; label: string; role?: string } {
  const [, file, role, label] = /^(\S+\.json) (?:(\S+) )?"(.+)"$/.exec(item.trim()) ?? [];
  if (file === undefined || label === undefined) throw new Error(`Cannot read "${item}" in a mark: expected FILE.json "label"`);
  return { file, label, ...(role !== undefined && { role }) };
}

/** A figure, or two with / or - between them, whose ratio or signed difference is given. */
function figureIn(file: string, expression: string, records: Records): string {
  const [first = "", sign, second] = expression.trim().split(/\s+/);
  const summary = (term: string) => {
    const [role = "", name = ""] = term.split(".");
    const found = figuresOf(records, { file, role })[name];
    if (!found) throw new Error(`Cannot find the figure "${term}" in ${file}`);
    return found;
  };
  if (second === undefined) return first.endsWith(".captionsObeyed") ? percent(summary(first)) : plusMinus(summary(first));
  const [one, other] = [summary(first).mean, summary(second).mean];
  if (sign === "/") return digits(one / other, 3);
  if (sign === "-") return `${one < other ? "" : "+"}${(one - other).toFixed(3)}`;
  throw new Error(`Cannot read "${expression}" in ${file}: expected FIGURE, FIGURE / FIGURE or FIGURE - FIGURE`);
}
