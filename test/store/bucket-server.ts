/**
 * Object stores for tests, on this machine: gofakes3, an S3 server in memory, and in the slow form the one that ONESTEP_BUCKET names
 * (test/clouds.mjs runs them all). Each is installed once and kept in the user's cache.
 */
import { execFileSync, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { forgetOperators, operatorOf } from "../../store/places/operator.ts";
import { freePort } from "../fixtures/free-port.ts";

const bin = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "onestep-test");
const account = "devstoreaccount1"; // azurite's own, with its published key
const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/** A program that stands in for a cloud. */
interface StandIn {
  /** Of URLs that it serves. */
  scheme: "s3" | "az" | "gs";
  /** Where the program lies once it is installed, and how it is. */
  program: string;
  install: () => void;
  /** The words that start it on a port. */
  words: (port: number, endpoint: string) => string[];
  environment?: Record<string, string>;
  /** Makes the bucket "bucket"; asked until it answers well. */
  makeBucket: (endpoint: string) => Promise<{ ok: boolean }>;
}

/** Another file of tests may install it at the same time, or start it meanwhile: it comes to its place whole. */
const byGo = (module: string) => (): void => {
  const fresh = mkdtempSync(join(bin, "fresh-"));
  try {
    execFileSync("go", ["install", module], { env: { ...process.env, GOBIN: fresh }, stdio: "ignore" });
    for (const program of readdirSync(fresh)) renameSync(join(fresh, program), join(bin, program));
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
};
const folderOfVersity = (): string => (versity ??= mkdtempSync(join(tmpdir(), "onestep-versitygw-")));
let versity: string | undefined;

const standIns: Readonly<Record<string, StandIn>> = {
  gofakes3: {
    scheme: "s3",
    program: join(bin, "gofakes3"),
    install: byGo("github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0"),
    words: (port) => ["-backend", "memory", "-host", `127.0.0.1:${port}`],
    makeBucket: (endpoint) => fetch(`${endpoint}/bucket`, { method: "PUT" }),
  },
  versitygw: {
    scheme: "s3",
    program: join(bin, "versitygw"),
    install: byGo("github.com/versity/versitygw/cmd/versitygw@v1.8.0"),
    words: (port) => ["--port", `127.0.0.1:${port}`, "posix", folderOfVersity()],
    environment: { ROOT_ACCESS_KEY: "test", ROOT_SECRET_KEY: "testtest" },
    makeBucket: async (endpoint) => {
      mkdirSync(join(folderOfVersity(), "bucket"), { recursive: true });
      return { ok: (await fetch(endpoint)).status === 403 }; // it wants signatures
    },
  },
  azurite: {
    scheme: "az",
    program: join(bin, "node_modules/azurite/dist/src/blob/main.js"),
    install: () => {
      execFileSync("npm", ["install", "--prefix", bin, "--no-audit", "--no-fund", "--ignore-scripts", "azurite@3.37.0"], {
        stdio: "ignore",
      });
    },
    words: (port) => ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent", "--blobPort", String(port)],
    makeBucket: (endpoint) => fetch(`${endpoint}/${account}/bucket?restype=container`, { method: "PUT", headers: signed() }),
  },
  "fake-gcs-server": {
    scheme: "gs",
    program: join(bin, "fake-gcs-server"),
    install: byGo("github.com/fsouza/fake-gcs-server@v1.56.1"),
    words: (port, url) => ["-scheme", "http", "-host", "127.0.0.1", "-port", String(port), "-backend", "memory", "-external-url", url],
    makeBucket: (endpoint) => fetch(`${endpoint}/storage/v1/b`, { method: "POST", body: '{"name":"bucket"}' }),
  },
};

const name = process.env.ONESTEP_BUCKET || "gofakes3";
const chosen = standIns[name] ?? (standIns.gofakes3 as StandIn);

/** A place in the bucket. */
export const bucketUrl = (path: string): string => `${chosen.scheme}://bucket/${path}`;

/** Why there is no such server; undefined where there is one. */
export function noBucket(): string | undefined {
  if (!standIns[name]) return `ONESTEP_BUCKET is ${name}, expected one of ${Object.keys(standIns).join(", ")}`;
  if (existsSync(chosen.program)) return undefined;
  try {
    mkdirSync(bin, { recursive: true });
    chosen.install();
    return undefined;
  } catch {
    return `there is no ${name === "azurite" ? "npm" : "go"} here, or it cannot fetch ${name}`;
  }
}

/** What a process needs in its environment to use the server at an address. */
export const environmentOf = (endpoint: string): Record<string, string> => ({
  ...{ AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "testtest", AWS_REGION: "us-east-1" },
  ...{ AWS_EC2_METADATA_DISABLED: "true", AWS_CONFIG_FILE: "/nonexistent", AWS_SHARED_CREDENTIALS_FILE: "/nonexistent" },
  AZURE_STORAGE_CONNECTION_STRING: `AccountName=${account};AccountKey=${key};BlobEndpoint=${endpoint}/${account}`,
  STORAGE_EMULATOR_HOST: endpoint,
});

/** Starts a server with one bucket, "bucket"; it ends with this process. This process uses it from now on. */
export async function startBucket(): Promise<{ endpoint: string }> {
  let endpoint: string | undefined;
  for (let tries = 0; !endpoint; tries++) {
    if (tries === 5) throw new Error(`${name} ends as soon as it is started`);
    endpoint = await startedServer();
  }
  Object.assign(process.env, environmentOf(endpoint));
  forgetOperators();
  return { endpoint };
}

/** The address of a server that runs, with its bucket; undefined where it has ended, as when its port has become another program's. */
async function startedServer(): Promise<string | undefined> {
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const words = chosen.words(port, endpoint);
  const isScript = chosen.program.endsWith(".js");
  const [program, ...flags] = isScript ? [process.execPath, chosen.program, ...words] : [chosen.program, ...words];
  const child = spawn(program as string, flags, { stdio: "ignore", env: { ...process.env, ...chosen.environment } });
  child.unref();
  process.on("exit", () => {
    child.kill("SIGKILL");
    if (versity) rmSync(versity, { recursive: true, force: true });
  });
  while (child.exitCode === null && child.signalCode === null) {
    const { ok } = await chosen.makeBucket(endpoint).catch(() => ({ ok: false }));
    if (ok) return endpoint;
    await setTimeout(50);
  }
  return undefined;
}

/** The headers by which azurite lets a container be made: its shared key's signature. */
function signed(): Record<string, string> {
  const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2021-12-02" };
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}`);
  const text = ["PUT", ...Array(11).fill(""), ...lines, `/${account}/${account}/bucket`, "restype:container"].join("\n");
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
  return { ...headers, Authorization: `SharedKey ${account}:${signature}` };
}

/** All objects of a store by name, as hex, through the server's own interface; of servers that want signatures through opendal's. */
export async function objectsOf(endpoint: string, prefix: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  if (name !== "gofakes3") {
    const { operator } = await operatorOf(bucketUrl(prefix));
    const paths = (await operator.list(`${prefix}/`, { recursive: true }))
      .map((entry) => entry.path())
      .filter((path) => !path.endsWith("/"));
    for (const path of paths.sort()) found[path.slice(prefix.length + 1)] = (await operator.read(path)).toString("hex");
    return found;
  }
  const text = await (await fetch(`${endpoint}/bucket?list-type=2&max-keys=1000&prefix=${prefix}/`)).text();
  const keys = [...text.matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key]) => key as string).sort();
  for (const key of keys) {
    const bytes = await (await fetch(`${endpoint}/bucket/${key}`)).arrayBuffer();
    found[key.slice(prefix.length + 1)] = Buffer.from(bytes).toString("hex");
  }
  return found;
}
