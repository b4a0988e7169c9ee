/** An S3 server for tests: gofakes3, built by go once and kept in the user's cache; in memory, so each test begins with nothing. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

const bin = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "onestep-test");
const program = join(bin, "gofakes3");

/** Why there is no such server; undefined where there is one. */
export function noBucket(): string | undefined {
  if (existsSync(program)) return undefined;
  try {
    execFileSync("go", ["install", "github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0"], {
      env: { ...process.env, GOBIN: bin },
      stdio: "ignore",
    });
    return undefined;
  } catch {
    return "there is no go here, or it cannot fetch gofakes3";
  }
}

/** What a process needs in its environment to use the server at an address. */
export const environmentOf = (endpoint: string): Record<string, string> => ({
  ...{ AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_REGION: "us-east-1" },
  ...{ AWS_EC2_METADATA_DISABLED: "true", AWS_CONFIG_FILE: "/nonexistent", AWS_SHARED_CREDENTIALS_FILE: "/nonexistent" },
});

/** Starts a server with one bucket, "bucket"; it ends with this process. This process uses it from now on. */
export async function startBucket(): Promise<{ endpoint: string }> {
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const child = spawn(program, ["-backend", "memory", "-host", `127.0.0.1:${port}`], { stdio: "ignore" });
  child.unref();
  process.on("exit", () => child.kill("SIGKILL"));
  for (let tries = 0; ; tries++) {
    const { ok } = await fetch(`${endpoint}/bucket`, { method: "PUT" }).catch(() => ({ ok: false }));
    if (ok) break;
    if (tries === 200) throw new Error("gofakes3 does not answer");
    await setTimeout(50);
  }
  Object.assign(process.env, environmentOf(endpoint));
  return { endpoint };
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** All objects of a store by name, as hex, through the server's own interface. */
export async function objectsOf(endpoint: string, prefix: string): Promise<Record<string, string>> {
  const text = await (await fetch(`${endpoint}/bucket?list-type=2&max-keys=1000&prefix=${prefix}/`)).text();
  const keys = [...text.matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key]) => key as string).sort();
  const found: Record<string, string> = {};
  for (const key of keys) {
    const bytes = await (await fetch(`${endpoint}/bucket/${key}`)).arrayBuffer();
    found[key.slice(prefix.length + 1)] = Buffer.from(bytes).toString("hex");
  }
  return found;
}
