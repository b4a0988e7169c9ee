/** Commands whose stores and runs lie in a bucket do what they do in folders, to the byte. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execute } from "../../bin/cli.mts";
import { assert, suite } from "../harness.ts";
import { writeRun } from "../simulate/fixture.ts";
import { noBucket, objectsOf, startBucket } from "../store/bucket-server.ts";
import { filesAt } from "../../store/places/files.ts";
import { contents, writeSquares } from "../train/fixture.ts";

const test = suite("commands on buckets");
const reason = noBucket();
const root = mkdtempSync(join(tmpdir(), "onestep-commands-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
const at = (name: string): string => join(root, name);
const url = (name: string): string => `s3://bucket/jobs/${name}`;

/** Runs a line that ends with a code; its output. */
async function ends(expected: number, ...words: string[]): Promise<string> {
  let text = "";
  const add = (piece: string): void => void (text += piece);
  const outside = { out: add, err: add, signal: new AbortController().signal, terminal: false, colour: false, columns: () => 100 };
  assert.is(await execute([...words, "--threads", "1"], outside), expected, `${words.join(" ")}\n${text}`);
  assert.not.match(text, /onestep-commands-.*cache/, text); // fetched and sent folders have their URLs' names
  return text;
}

const run = (...words: string[]): Promise<string> => ends(0, ...words);

const images = ["--size", "16", "--set", "encoder.rowsPerShard=8"];

if (reason) test.skip("ingest, reprocess, export, inspect, evaluate and sample take URLs", reason);
else {
  test(
    "ingest, reprocess, export, inspect, evaluate and sample take URLs",
    async () => {
      const { endpoint } = await startBucket();
      process.env.ONESTEP_CACHE = at("cache");
      const same = async (name: string): Promise<void> => {
        const [there, here] = [await objectsOf(endpoint, `jobs/${name}`), await contents(at(name), /^\./)];
        assert.equal(Object.keys(there), Object.keys(here).sort(), name);
        for (const [file, hex] of Object.entries(here)) if (file !== "settings.yaml") assert.is(there[file], hex, `${name}/${file}`);
      };
      const squares = await writeSquares(root);
      for (const place of [at, url]) await run("ingest", squares, "--out", place("latents"), ...images);
      await same("latents");
      for (const place of [at, url]) await run("reprocess", place("latents"), "--to", place("fours"), "--set", "encoder.rowsPerShard=4");
      await same("fours");
      for (const place of [at, url]) await run("export", place("latents"), "--format", "npy", "--out", place("npy"));
      await same("npy");

      assert.match(await run("inspect", url("latents")), /24 of 24 planned/);
      await run("inspect", url("latents"), "--html", at("page.html"), "--limit", "4");
      assert.match(readFileSync(at("page.html"), "utf8"), /<title>/);
      await run("verify", url("fours"));
      await run("inspect", url("latents"), "--diff", at("latents"));

      const teacher = await writeRun({ condition: "none" });
      for (const name of readdirSync(teacher)) {
        await filesAt(url("teacher")).replace(`${url("teacher")}/${name}`, readFileSync(join(teacher, name)));
      }
      const few = ["--count", "2", "--steps", "2"];
      await run("sample", "--model", url("teacher"), "--out", at("a.png"), ...few);
      await run("sample", "--model", teacher, "--out", at("b.png"), ...few);
      assert.equal(readFileSync(at("a.png")), readFileSync(at("b.png")));
      assert.match(await run("inspect", url("teacher")), new RegExp(url("teacher")));
      const measured = await ends(1, "evaluate", "--model", url("teacher"), "--reference", url("latents"), "--count", "24");
      assert.match(measured, /Cannot measure a Fréchet distance from 24 images/); // it has read them
      const simulation = ["--count", "8", "--steps", "2", "--set", "simulate.rowsPerShard=4"];
      await run("simulate", "--teacher", url("teacher"), "--out", url("triples"), ...simulation);
      await run("simulate", "--teacher", teacher, "--out", at("triples"), ...simulation);
      await same("triples");
      await run("inspect", url("triples"), "--redo", "1", "--teacher", url("teacher"));
    },
    { seconds: 200 },
  );
}

test.run();
