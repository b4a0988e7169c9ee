/**
 * Stores under az:// and gs://, against stand-ins of these clouds. The slow form, which wants the programs:
 * ONESTEP_AZURITE=path/to/azurite-blob ONESTEP_FAKE_GCS=path/to/fake-gcs-server node test/run.mjs store/clouds
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { rowBatches } from "../../store/batches.ts";
import { filesAt, namesAt } from "../../store/files.ts";
import { createLatentStore } from "../../store/latents.ts";
import { forgetOperators } from "../../store/operator.ts";
import { missingShards, openStore } from "../../store/store.ts";
import { sealStore } from "../../store/summary.ts";
import { verifyStore } from "../../store/verify.ts";
import { assert, suite } from "../harness.ts";
import { freePort } from "./bucket-server.ts";
import { contentsOf, fill, fillShard, freshFolder, latentManifest } from "./fixture.ts";

const test = suite("clouds");
const children: ChildProcess[] = [];
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
process.env.ONESTEP_CACHE = "off";
const fails = (id: number): boolean => id % 11 === 3;

const account = "devstoreaccount1"; // azurite's own, with its published key
const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const clouds: { scheme: string; program: string | undefined; start: (program: string, port: number) => Promise<void> }[] = [
  {
    scheme: "az",
    program: process.env.ONESTEP_AZURITE,
    start: async (program, port) => {
      const flags = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent", "--blobPort", String(port)];
      begin(process.execPath, [program, ...flags]);
      const endpoint = `http://127.0.0.1:${port}/${account}`;
      process.env.AZURE_STORAGE_CONNECTION_STRING = `AccountName=${account};AccountKey=${key};BlobEndpoint=${endpoint}`;
      await untilMade(() => fetch(`${endpoint}/bucket?restype=container`, { method: "PUT", headers: signed() }));
    },
  },
  {
    scheme: "gs",
    program: process.env.ONESTEP_FAKE_GCS,
    start: async (program, port) => {
      const endpoint = `http://127.0.0.1:${port}`;
      const flags = ["-scheme", "http", "-host", "127.0.0.1", "-port", String(port), "-backend", "memory", "-external-url", endpoint];
      begin(program, flags);
      process.env.STORAGE_EMULATOR_HOST = endpoint;
      await untilMade(() => fetch(`${endpoint}/storage/v1/b`, { method: "POST", body: '{"name":"bucket"}' }));
    },
  },
];

/** Starts a server that ends with this process. */
function begin(program: string, flags: string[]): void {
  const child = spawn(program, flags, { stdio: "ignore" });
  child.unref();
  children.push(child);
}

/** The headers by which azurite lets a container be made: its shared key's signature. */
function signed(): Record<string, string> {
  const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-12-02" };
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}`);
  const text = ["PUT", ...Array(11).fill(""), ...lines, `/${account}/${account}/bucket`, "restype:container"].join("\n");
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
  return { ...headers, Authorization: `SharedKey ${account}:${signature}` };
}

async function untilMade(make: () => Promise<Response>): Promise<void> {
  for (let tries = 0; ; tries++) {
    const answer = await make().catch(() => undefined);
    if (answer?.ok) return;
    if (tries === 100) throw new Error(`no bucket was made: ${answer ? `${answer.status} ${await answer.text()}` : "no answer"}`);
    await setTimeout(200);
  }
}

for (const { scheme, program, start } of clouds) {
  const name = `a store under ${scheme}:// has the bytes of one in a folder`;
  if (!program) {
    test.skip(name, `no program stands in for ${scheme}:// (see the head of this file)`);
    continue;
  }
  test(
    name,
    async () => {
      await start(program, await freePort());
      forgetOperators();
      const whole = await createLatentStore({ folder: freshFolder(), manifest: latentManifest() });
      await fill(whole, fails);
      await sealStore(whole);
      const url = `${scheme}://bucket/stores/one`;
      const files = filesAt(url);
      const made = await Promise.all(Array.from({ length: 8 }, (_, i) => files.create(`${url}/note`, Buffer.from(`maker ${i}`))));
      assert.is(made.filter((each) => each === "created").length, 1);
      await files.remove(`${url}/note`);
      assert.is(await files.size(`${url}/note`), undefined);

      const store = await createLatentStore({ folder: url, manifest: latentManifest() });
      for (const shard of [4, 0, 6, 1]) await fillShard(store, shard, fails);
      assert.equal(await verifyStore(store), []);
      for (const shard of await missingShards(store)) await fillShard(store, shard, fails);
      await sealStore(store);
      const expected: Record<string, string> = contentsOf(whole.folder);
      for (const [name, hex] of Object.entries(expected)) {
        assert.is(Buffer.from((await files.read(`${url}/${name}`)) ?? []).toString("hex"), hex, name);
      }
      assert.equal(await namesAt(`${url}/journal`), []);
      assert.equal(await verifyStore(await openStore({ folder: url })), []);
      const order = { seed: 3, batch: 6, window: 2, firstShards: 2, stepsPerShard: 1, toStep: 14 };
      const batches = [url, whole.folder].map(async (folder) => {
        const found: unknown[] = [];
        for await (const batch of rowBatches(await openStore({ folder }), order)) found.push(batch);
        return found;
      });
      assert.equal(await batches[0], await batches[1]);
      await assert.rejects(openStore({ folder: `${scheme}://nobody/nothing` }), /no store.json|there is no such bucket/);
    },
    { seconds: 120 },
  );
}

test.run();
