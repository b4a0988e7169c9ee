/** Serves the report of a store to this machine alone: rows are read and decoded when they are looked at. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, resolve } from "node:path";
import type { Context } from "../../../schemas/events.ts";
import { Failure, isFailure } from "../../../schemas/failure.ts";
import { version } from "../../../schemas/package.ts";
import type { EngineSettings } from "../../../schemas/settings.ts";
import { readLeftOut } from "../../../store/left-out.ts";
import type { Store } from "../../../store/store.ts";
import { type Selected, selectRows } from "../rows.ts";
import { factsOf } from "../facts.ts";
import { damagedShards, surveyStore } from "../survey.ts";
import { openViewer, type Viewer } from "../viewer.ts";
import { type Condition, columnsToFilter, parseWhere, type Scalars } from "../where.ts";
import { describeRow, picturesOf } from "./gallery.ts";
import { addressed, guardHeaders } from "./guard.ts";
import { pageOf } from "./page.ts";
import type { SurveyAnswer } from "./row.ts";
import { sectionsOf } from "./sections.ts";

const mostRows = 100; // of one answer

/** Serves until the signal aborts. What is answered, and to whom, says guard.ts: no other site's page can look in. */
export async function serveReport(options: { store: Store; port: number; engine: EngineSettings; context: Context }): Promise<void> {
  const { store, port, engine, context } = options;
  const { report, signal } = context;
  const viewer = await openViewer(store, engine, context);
  const survey = startSurvey(store, context);
  const server = createServer((request, response) => {
    const left = new AbortController(); // when the browser waits no longer, as after the next key in a filter
    response.once("close", () => left.abort());
    answer(request, response, AbortSignal.any([signal, left.signal])).catch((error: Error) => {
      if (response.destroyed || signal.aborted) return;
      if (!isFailure(error)) report({ type: "warning", stage: "serve", message: error.message });
      send(response, isFailure(error) ? 400 : 500, { error: error.message });
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse, waited: AbortSignal): Promise<void> {
    const address = addressed(request);
    if (!(address instanceof URL)) return send(response, address.status, { error: address.error });
    const { pathname, searchParams } = address;
    if (pathname === "/")
      return send(response, 200, pageOf({ name: basename(resolve(store.folder)), manifest: store.manifest, version: version() }));
    if (pathname === "/survey") return send(response, 200, survey.state);
    if (pathname === "/rows") return send(response, 200, await rowsFor(store, viewer, searchParams, survey.damaged(), waited));
    return send(response, 404, { error: "there is nothing at this address" });
  }

  try {
    await new Promise<void>((done, failed) => {
      server.once("error", failed);
      server.listen({ host: "127.0.0.1", port, signal }, done);
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE" && error.code !== "EACCES") throw error;
      const why = error.code === "EACCES" ? "not yours to use" : "taken";
      throw new Failure(`Cannot serve on port ${port}: it is ${why}. Name another with --port, or leave it out.`);
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    report({ type: "note", stage: "serve", message: `${url} shows ${store.folder}; Ctrl-C ends it` });
    await new Promise<void>((done) => {
      if (signal.aborted) done();
      signal.addEventListener("abort", () => done(), { once: true });
    });
  } finally {
    server.closeAllConnections();
    await new Promise<void>((done) => server.close(() => done()));
    await viewer.close();
  }
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

function send(response: ServerResponse, status: number, content: string | object): void {
  const html = typeof content === "string";
  response.writeHead(status, {
    "content-type": html ? "text/html; charset=utf-8" : "application/json; charset=utf-8",
    ...guardHeaders,
    ...(status === 405 && { allow: "GET, HEAD" }),
  });
  response.end(html ? content : JSON.stringify(content));
}
