/** The report of a store as something to serve: rows are read and decoded when they are looked at. */
import { lastName } from "../../../store/places/place.ts";
import type { Context } from "../../../schemas/events.ts";
import { Failure } from "../../../schemas/failure.ts";
import { version } from "../../../schemas/package.ts";
import type { EngineSettings } from "../../../schemas/settings.ts";
import { readLeftOut } from "../../../store/records/left-out.ts";
import type { Store } from "../../../store/shards/store.ts";
import { html, json, nothingHere, type Source } from "../../serve/answer.ts";
import { type Selected, selectRows } from "../rows.ts";
import { factsOf } from "../facts.ts";
import { damagedShards, surveyStore } from "../survey.ts";
import { openViewer, type Viewer } from "../viewer.ts";
import { type Condition, columnsToFilter, parseWhere, type Scalars } from "../where.ts";
import { describeRow, picturesOf } from "./gallery.ts";
import { pageOf, reportPolicy } from "./page.ts";
import type { SurveyAnswer } from "./row.ts";
import { sectionsOf } from "./sections.ts";

const mostRows = 100; // of one answer

/** The page of a store, its rows, and what reading all of it finds, which goes on in the background until the signal aborts. */
export async function reportSource({
  store,
  engine,
  context,
}: {
  store: Store;
  engine: EngineSettings;
  context: Context;
}): Promise<Source> {
  const viewer = await openViewer(store, engine, context);
  const survey = startSurvey(store, context);
  return {
    policy: `${reportPolicy(true)}; frame-ancestors 'none'`,
    answer: async ({ address: { pathname, searchParams }, signal }) => {
      if (pathname === "/") return html(pageOf({ name: lastName(store.folder), manifest: store.manifest, version: version() }));
      if (pathname === "/survey") return json(survey.state);
      if (pathname === "/rows") return json(await rowsFor(store, viewer, searchParams, survey.damaged(), signal));
      return nothingHere();
    },
    close: viewer.close,
  };
}

/** Reads the store in the background: how far it is, or what it found; and the damaged shards, once they are known. */
function startSurvey(store: Store, { signal, report }: Context) {
  const state: SurveyAnswer = { done: 0, of: 0 };
  let damaged: ReadonlySet<number> = new Set();
  const onShard = (done: number, of: number) => {
    Object.assign(state, { done, of });
    report({ type: "progress", stage: "read", done, total: of, unit: "shards" });
  };
  const read = async () => {
    const survey = await surveyStore(store, { signal, onShard });
    damaged = damagedShards(survey);
    const sections = Object.entries(sectionsOf(store.manifest, await factsOf(store, survey), survey, await readLeftOut(store)));
    state.sections = Object.fromEntries(sections.map(([name, section]) => [name, String(section)]));
  };
  read().catch((error: Error) => void (state.error = error.message));
  return { state, damaged: () => damaged };
}

async function rowsFor(store: Store, viewer: Viewer, search: URLSearchParams, except: ReadonlySet<number>, signal: AbortSignal) {
  const offset = wholeNumber(search, "offset", Number.MAX_SAFE_INTEGER);
  const limit = wholeNumber(search, "limit", mostRows);
  const where = conditionOf(store, search);
  const selected: Selected[] = [];
  for await (const each of selectRows(store, { where, offset, limit: limit + 1, except, signal })) selected.push(each);
  const shown = selected.slice(0, limit);
  const views = shown.length > 0 ? await viewer.view(shown.map(({ row }) => row)) : [];
  const rows = await Promise.all(
    shown.map(async (each, i) => ({ ...describeRow(store.manifest, each), ...(await picturesOf(views[i]!)) })),
  );
  return { rows, more: selected.length > limit };
}

/** What the page's filters ask for together; none at all lets whole shards be passed over. */
function conditionOf({ manifest }: Store, search: URLSearchParams): Condition | undefined {
  const [label, words, where] = ["label", "words", "where"].map((name) => search.get(name) ?? "") as [string, string, string];
  const conditions: Condition[] = [];
  if (label !== "") conditions.push((row) => String(row.label) === label);
  const texts = (row: Scalars) => [row.caption, row.name, row.id].map((text) => String(text ?? "").toLowerCase());
  if (words !== "") conditions.push((row) => texts(row).some((text) => text.includes(words.toLowerCase())));
  if (where !== "") conditions.push(parseWhere(where, columnsToFilter(manifest)));
  return conditions.length > 0 ? (row) => conditions.every((condition) => condition(row) === true) : undefined;
}

function wholeNumber(search: URLSearchParams, name: string, most: number): number {
  const value = Number(search.get(name));
  if (!Number.isSafeInteger(value) || value < 0 || value > most)
    throw new Failure(`Cannot show rows: ${name} is "${search.get(name)}", expected a whole number up to ${most}.`);
  return value;
}
