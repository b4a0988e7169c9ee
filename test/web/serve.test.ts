/** The server of folders: types, ranges, headers, and that nothing outside of the folder is there. */
import { request as httpRequest } from "node:http";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { serve } from "../../pipelines/serve.ts";
import { presetLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { assert, suite } from "../harness.ts";
import { freshFolder, listening, served } from "../inspect/fixture.ts";

const test = suite("serve");

const get = (url: string, path: string, headers: Record<string, string> = {}, method = "GET") =>
  new Promise<{ status: number; headers: Record<string, unknown>; text: string }>((done, failed) => {
    const { hostname: host, port } = new URL(url);
    const asked = httpRequest({ host, port, path, headers, method }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      done({ status: response.statusCode!, headers: response.headers, text });
    });
    asked.on("error", failed).end();
  });

test("files come with their type, in ranges, and under headers that give threads shared memory", async () => {
  const parent = freshFolder();
  const folder = join(parent, "site");
  await mkdir(join(folder, "code"), { recursive: true });
  await writeFile(join(parent, "secret.txt"), "secret");
  await writeFile(join(folder, ".hidden"), "hidden");
  for (const [name, text] of Object.entries({
    "index.html": "<p>",
    "a.wasm": "0123456789",
    "code/m.js": "1",
    "w.onnx": "",
    "ä b.txt": "words",
  }))
    await writeFile(join(folder, name), text);
  await symlink(join(parent, "secret.txt"), join(folder, "link.txt"));
  const { url, stop } = await served(folder);
  try {
    const page = await get(url, "/?device=wasm");
    assert.equal([page.status, page.text, page.headers["content-type"]], [200, "<p>", "text/html; charset=utf-8"]);
    assert.is(page.headers["cross-origin-opener-policy"], "same-origin");
    assert.is(page.headers["cross-origin-embedder-policy"], "require-corp");
    assert.match(String(page.headers["content-security-policy"]), /script-src 'self' 'wasm-unsafe-eval'.*frame-ancestors 'none'/);
    for (const [path, type] of [
      ["/a.wasm", "application/wasm"],
      ["/code/m.js", "text/javascript; charset=utf-8"],
      ["/w.onnx", "application/octet-stream"],
      [`/${encodeURIComponent("ä b.txt")}`, "text/plain; charset=utf-8"],
    ] as const) {
      const { status, headers } = await get(url, path);
      assert.equal([status, headers["content-type"]], [200, type]);
    }
    const ranges: [string, number, string, string | undefined][] = [
      ["bytes=0-3", 206, "0123", "bytes 0-3/10"],
      ["bytes=8-", 206, "89", "bytes 8-9/10"],
      ["bytes=-3", 206, "789", "bytes 7-9/10"],
      ["bytes=5-99", 206, "56789", "bytes 5-9/10"],
      ["bytes=-99", 206, "0123456789", "bytes 0-9/10"],
      ["bytes=10-", 416, '{"error":"the file has 10 bytes"}', "bytes */10"],
      ["bytes=-0", 416, '{"error":"the file has 10 bytes"}', "bytes */10"],
      ["bytes=0-1,4-5", 200, "0123456789", undefined],
      ["bytes=5-2", 200, "0123456789", undefined],
      ["bytes=-", 200, "0123456789", undefined],
      ["lines=1-2", 200, "0123456789", undefined],
    ];
    for (const [range, status, text, span] of ranges) {
      const answer = await get(url, "/a.wasm", { range });
      assert.equal([answer.status, answer.text, answer.headers["content-range"]], [status, text, span], range);
    }
    const head = await get(url, "/a.wasm", {}, "HEAD");
    assert.equal([head.status, head.text, head.headers["content-length"]], [200, "", "10"]);
    for (const path of [
      ...["/../secret.txt", "/code/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/code/..%2f..%2fsecret.txt", "/link.txt"],
      ...["/.hidden", "/code", "/code/", "/nothing", "/index.html/x", "/a%00.wasm", "/..%5csecret.txt", `/${"x".repeat(5000)}`],
    ]) {
      const { status, text } = await get(url, path);
      assert.equal([status, /secret|hidden$/.test(text)], [404, false], path);
    }
    assert.is((await get(url, "/a.wasm", { "sec-fetch-site": "cross-site" })).status, 403);
    assert.is((await get(url, "/a.wasm", {}, "POST")).headers.allow, "GET, HEAD");
  } finally {
    await stop();
  }
});

test("a run shows its page and nothing beside it; what cannot be served says what could be", async () => {
  const run = freshFolder();
  await mkdir(run, { recursive: true });
  await writeFile(join(run, "run.html"), "<p>step 1");
  await writeFile(join(run, "settings.yaml"), "seed: 1");
  for (const path of [run, join(run, "run.html")]) {
    const { url, stop } = await served(path);
    try {
      assert.is((await get(url, "/")).text, "<p>step 1");
      await writeFile(join(run, "run.html"), "<p>step 2");
      assert.is((await get(url, "/")).text, "<p>step 2");
      assert.is((await get(url, "/settings.yaml")).status, 404);
      await writeFile(join(run, "run.html"), "<p>step 1");
    } finally {
      await stop();
    }
  }
  const { context } = listening();
  const settings = resolveSettings([presetLayer("smoke")]);
  const job = freshFolder();
  await mkdir(join(job, "student"), { recursive: true });
  await assert.rejects(
    serve({ path: job, port: 0, settings, context }),
    /neither a site, a student, a run nor a store. It holds student: name/,
  );
  await assert.rejects(serve({ path: join(run, "settings.yaml"), port: 0, settings, context }), /it is no folder/);
  await assert.rejects(serve({ path: join(run, "nowhere"), port: 0, settings, context }), /there is no such folder/);
});

test.run();
