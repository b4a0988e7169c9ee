/** What was in the input of a store and is in none of its rows: a table for the report. */
import type { LeftOut } from "../../../schemas/left-out.ts";
import { type Markup, markup } from "../../picture/markup.ts";

const kinds: Record<LeftOut["kind"], string> = { captions: "captions", labels: "labels", files: "files", aside: "passed over" };

/** The lines of the table: kind, how many, why, and where the first few stand. */
export function leftOutLines(list: readonly LeftOut[]): Markup[] {
  return list.map(({ kind, count, reason, first }) => {
    const places = first.map((place) => markup`<li>${place}</li>`);
    const rest = count > first.length ? markup`<li>...</li>` : undefined;
    const cells = markup`<td>${kinds[kind]}</td><td class="wrap">${reason}</td><td class="wrap"><ul>${places}${rest}</ul></td>`;
    return markup`<tr><td class="number">${count.toLocaleString("en-US")}</td>${cells}</tr>`;
  });
}
