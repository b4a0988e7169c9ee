/** Stores of people who mean harm: whatever stands in a field, pages show it as words, and no other site looks in. */
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "../../pipelines/inspect.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { addressed } from "../../stages/serve/guard.ts";
import { sectionsOf } from "../../stages/inspect/report/sections.ts";
import { surveyStore } from "../../stages/inspect/survey.ts";
import { barChart } from "../../stages/picture/bars.ts";
import { lineChart } from "../../stages/picture/chart.ts";
import { runPage } from "../../stages/runs/page.ts";
import { writeAtomic } from "../../store/places/atomic.ts";
import type { Store } from "../../store/shards/store.ts";
import { assert, suite } from "../harness.ts";
import { openBrowser, openPage } from "./browser.ts";
import { freshFolder, listening, served, triples } from "./fixture.ts";

const test = suite("hostile stores");
const settings = resolveSettings([presetLayer("smoke")]);

/** Each sets `window.hit` where it runs. */
const payloads = [
  "<script>hit=1</script>",
  "</script><script>hit=1</script>",
  "</title></style></textarea><script>hit=1</script>",
  '"><img src=x onerror=hit=1>',
  "'><svg onload=hit=1>",
  '" onfocus=hit=1 autofocus tabindex=0 x="',
  "' onmouseover=hit=1 x='",
  "--><!--<script>hit=1</script>",
  "]]><script>hit=1</script>",
  "javascript:hit=1",
  "</option></select><iframe srcdoc='<script>parent.hit=1</script>'>",
  "&lt;script&gt;hit=1&lt;/script&gt;",
  "<base href=//evil.example><meta http-equiv=refresh content='0;url=//evil.example'>",
  "<form action=//evil.example><button>x",
  "<style>*{display:none}</style><link rel=stylesheet href=//evil.example>",
  "<template><script>hit=1</script></template><math><mtext></mtext></math>",
  "\u2028hit=1\u2029\u202e<script>hit=1</script>",
  "\ud800<script>hit=1</script>\ufffe",
  ["$", "{hit=1}`;hit=1;`"].join(""),
];
const everything = payloads.join(" ");
/** Elements and attributes that no page of ours has; an element made of a payload's words has one of them. */
const foreign = [
  ...["iframe", "img[src=x]", "base", "form", "link:not([rel=icon])", "template", "math", "head style ~ style", "a[href^=javascript]"],
  ...["[onerror]", "[onload]", "[onfocus]", "[onmouseover]", "[srcdoc]"],
].join(", ");

let store: Store;
test.before(async () => {
  store = await triples({
    entries: 40,
    manifest: {
      classes: [everything, `b${everything}`, `c${everything}`],
      teacher: { hash: everything, description: everything, [everything]: everything },
      engine: { device: everything, version: everything, extra: everything },
      conditions: { source: everything },
      solver: { name: everything, steps: 4 },
    } as never,
    change: (row) => (row.id % 9 === 4 ? `${row.id}${everything}` : { ...row, caption: payloads[row.id % payloads.length]! }),
  });
});

const chromium = await openBrowser();
if (!chromium) test.skip("pages in a browser", "no Chromium was found; name one with ONESTEP_CHROMIUM");
else {
  test.after(() => chromium.close());

  /** Opens a page, looks into everything, and checks that it holds words alone. `csp` errors are an attempt as well. */
  const checked = async (url: string, ready = "body") => {
    const { page, errors, requests } = await openPage(chromium, url, { ready });
    for (const selector of [".card", "#later", "#later", "[data-row]"]) {
      const found = page.locator(selector);
      if ((await found.count()) > 0 && (await found.first().isEnabled()))
        await found.first().evaluate((element: { click: () => void }) => element.click());
    }
    assert.is(await page.evaluate("window.hit"), undefined, url);
    assert.is(await page.locator(foreign).count(), 0);
    assert.is(await page.locator("script").count(), await page.locator("body > script").count());
    assert.equal(errors, []);
    assert.equal(
      requests.filter((address) => !address.startsWith("data:") && new URL(address).origin !== new URL(url).origin),
      [],
    );
    return page;
  };

  test("a written report shows every field as words, and its policy lets nothing else run", async () => {
    const path = join(freshFolder(), "report.html");
    await inspect({ path: store.folder, html: path, settings, context: listening().context });
    const page = await checked(pathToFileURL(path).href, ".card");
    assert.match(await page.innerText("#close-up-facts"), /teacher\s+<script>hit=1<\/script> <\/script><script>/);
    assert.match(await page.innerText("#quarantine"), /<img src=x onerror=hit=1>/);
    assert.is(await page.locator("#class option").count(), 4);
    assert.match(await page.innerText("#class option:nth-child(2)"), /<iframe srcdoc=/);
    await page.close();

    const html = await readFile(path, "utf8");
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)![1]!;
    assert.not.match(policy, /unsafe|\*|https?:/);
    const injected = join(freshFolder(), "injected.html");
    const attempt = "<script>hit=1</script><img src=x onerror=hit=1><svg onload=hit=1></svg><style>body{display:none}</style>";
    await writeAtomic(injected, html.replace("<main>", `<main>${attempt}`)); // as if a field had been forgotten
    const { page: broken, errors } = await openPage(chromium, pathToFileURL(injected).href);
    assert.is(await broken.evaluate("window.hit"), undefined);
    assert.is(await broken.isVisible("main"), true);
    assert.ok(errors.some((error) => /Content Security Policy/.test(error)));
    await broken.close();
  });

  test("a served report does too, its sections included", async () => {
    const { url, stop } = await served(store.folder);
    try {
      const page = await checked(url, ".figures");
      assert.match(await page.innerText("#overview"), /<iframe srcdoc=/);
      await page.close();
    } finally {
      await stop();
    }
  });

  test("sections are words even where what was read is of the wrong kind", async () => {
    const survey = await surveyStore(store, { signal: new AbortController().signal });
    const first = survey.rejected.first.map((failure) => ({
      ...failure,
      id: everything as never,
      shard: everything as never,
      name: everything,
    }));
    const shards = survey.shards.map((facts) => ({
      ...facts,
      shard: everything as never,
      state: everything as never,
      problem: everything,
    }));
    const outliers = survey.farthest.map((outlier) => ({ ...outlier, id: everything as never }));
    const bad = {
      ...survey,
      shards,
      farthest: outliers,
      peaks: outliers,
      rejected: { ...survey.rejected, first, reasons: [[everything, 3] as [string, number]] },
    };
    const sections = sectionsOf(store.manifest, { [everything]: everything }, bad);
    const path = join(freshFolder(), "sections.html");
    const body = Object.values(sections).map(String).join("");
    await writeAtomic(path, `<!doctype html><meta charset="utf-8"><body>${body}</body>`); // without a policy
    await (await checked(pathToFileURL(path).href)).close();
  });

  test("the page of a run and charts do too", async () => {
    const line = { step: 1, [everything]: 2 };
    const page = runPage({
      folder: everything,
      name: everything,
      state: "stopped",
      reason: everything,
      step: 1,
      steps: 2,
      batch: 3,
      rate: 1,
      time: new Date(0),
      history: [line],
      groups: [{ title: everything, label: everything, figures: { [everything]: everything } }],
      findings: [{ name: everything, seen: everything, remedy: everything }],
      settings: everything,
    });
    const folder = freshFolder();
    const html = join(folder, "run.html");
    await writeAtomic(html, page.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, "")); // what stands without the policy
    await (await checked(pathToFileURL(html).href)).close();
    const words = { title: everything, x: { label: everything }, y: { label: everything } };
    const series = [1, 2].map(() => ({ name: everything, points: [{ x: 1, y: 1 }] }));
    for (const [name, chart] of Object.entries({
      line: lineChart({ ...words, series, lines: [{ name: everything, y: 1 }] }),
      bar: barChart({ ...words, bars: [{ name: everything, y: 1 }] }),
    })) {
      const path = join(folder, `${name}.svg`);
      await writeAtomic(path, String(chart));
      await (await checked(pathToFileURL(path).href, "svg")).close();
    }
  });
}

test("only this machine's own page is answered", () => {
  const own = { host: "127.0.0.1:8080" };
  const status = (headers: Record<string, string>, url = "/rows?offset=0", method = "GET") => {
    const answer = addressed({ headers, url, method });
    return answer instanceof URL ? 200 : answer.status;
  };
  const link = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
  const cases: [number, number][] = [
    [status(own), 200],
    [status({ host: "localhost" }), 200],
    [status({ host: "LOCALHOST:9" }), 200], // through a tunnel
    [status({ host: "[::1]:8080" }), 200],
    [status({ ...own, "sec-fetch-site": "same-origin" }), 200],
    [status({ ...own, "sec-fetch-site": "none" }), 200],
    [status({ ...own, "sec-fetch-site": "same-origin", origin: "http://127.0.0.1:8080" }), 200],
    [status(own, "/", "HEAD"), 200],
    [status({ ...own, ...link, "sec-fetch-site": "cross-site" }, "/"), 200], // a link in a chat or notebook
    [status({ ...own, ...link, "sec-fetch-site": "cross-site" }), 403], // but not to data
    [status({ ...own, ...link, "sec-fetch-dest": "iframe", "sec-fetch-site": "cross-site" }, "/"), 403],
    [status({ ...own, "sec-fetch-site": "cross-site" }, "/"), 403],
    [status({ ...own, "sec-fetch-site": "cross-site" }), 403],
    [status({ ...own, "sec-fetch-site": "same-site" }), 403], // another port of this machine
    [status({ ...own, origin: "http://127.0.0.1:9" }), 403],
    [status({ ...own, origin: "null" }), 403],
    [status({ host: "evil.example:8080" }), 403],
    [status({ host: "127.0.0.1.evil.example" }), 403],
    [status({ host: "localhost@evil.example" }), 403],
    [status({}), 403],
    [status(own, "/", "POST"), 405],
    [status(own, "/", "OPTIONS"), 405],
    [status(own, "/%zz"), 400],
    [status(own, "/rows?where=%ff"), 400],
    [status(own, "//"), 400],
    [status(own, "http://["), 400],
  ];
  for (const [i, [seen, expected]] of cases.entries()) assert.is(seen, expected, `case ${i}`);
});

test("each answer says what other pages may not do, and odd requests end with a sentence", async () => {
  const { url, stop } = await served(store.folder);
  const port = Number(new URL(url).port);
  const get = (path: string, options: { headers?: Record<string, string>; method?: string } = {}) =>
    new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((done, failed) => {
      const asked = httpRequest({ host: "127.0.0.1", port, path, ...options }, async (response) => {
        let text = "";
        for await (const chunk of response) text += chunk;
        done({ status: response.statusCode!, headers: response.headers, text });
      });
      asked.on("error", failed).end();
    });
  const raw = (words: string) =>
    new Promise<string>((done) => {
      let text = "";
      const socket = connect(port, "127.0.0.1", () => void socket.write(words));
      socket
        .on("data", (chunk) => void (text += chunk))
        .on("error", () => {})
        .on("close", () => done(text));
    });
  try {
    for (const path of ["/", "/survey", "/rows?offset=0&limit=1", "/rows?limit=x", "/nothing"]) {
      const { headers } = await get(path);
      assert.match(String(headers["content-security-policy"]), /default-src 'none'.*script-src 'sha256-[^;]+; .*frame-ancestors 'none'/);
      assert.not.match(String(headers["content-security-policy"]), /unsafe/);
      assert.is(headers["x-content-type-options"], "nosniff");
      assert.is(headers["referrer-policy"], "no-referrer");
      assert.is(headers["cross-origin-resource-policy"], "same-origin");
      assert.is(headers["access-control-allow-origin"], undefined);
    }
    assert.is((await get("/rows?offset=0&limit=1", { headers: { "sec-fetch-site": "cross-site" } })).status, 403);
    assert.equal([(await get("/", { method: "HEAD" })).status, (await get("/", { method: "HEAD" })).text], [200, ""]);
    const put = await get("/", { method: "PUT" });
    assert.equal([put.status, put.headers.allow], [405, "GET, HEAD"]);
    assert.is((await get(`/${"x".repeat(100_000)}`)).status, 431);
    assert.is((await get("/../../etc/passwd")).status, 404);
    const queries = [
      "label > 1e999",
      `${"(".repeat(3000)}id = 1`,
      `id in (${"1,".repeat(3000)}`,
      "caption like '%a%a%a%b",
      "<script>",
      "constructor = 1",
    ];
    for (const where of queries) {
      const { status, text } = await get(`/rows?offset=0&limit=1&where=${encodeURIComponent(where)}`);
      assert.is(status, 400, where);
      assert.match((JSON.parse(text) as { error: string }).error, /^Cannot filter by .{20,}/);
    }
    assert.match(await raw("nonsense\r\n\r\n"), /^HTTP\/1.1 400/);
    assert.match(await raw("GET http://evil.example/rows HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"), /^HTTP\/1.1 403/);
    assert.is((await get("/")).status, 200, "still there");
  } finally {
    await stop();
  }
});

test.run();
