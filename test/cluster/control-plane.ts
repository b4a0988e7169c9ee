/** Kubernetes' own API server and Job controller on this machine, with etcd: no nodes, no scheduler. */
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { freePort } from "../fixtures/free-port.ts";

/** What the API answers: fields that tests look at by name. */
// biome-ignore lint/suspicious/noExplicitAny: Kubernetes' objects have no types here
export type Answer = any;

export interface ControlPlane {
  /** Asks the API; throws with its message where it refuses. A body without a type of its own is JSON. */
  ask: (method: string, path: string, body?: unknown, type?: string) => Promise<Answer>;
  /** Objects as they come and change, each at least once. */
  watch: (path: string, onObject: (object: Answer) => void) => void;
  /** SIGKILL to the controllers, and others in their place. */
  restartControllers: () => void;
  stop: () => void;
}

/** Starts it with what lies in `binaries` (kube-apiserver, kube-controller-manager); all its files are in `home`. */
export async function startControlPlane({ binaries, home }: { binaries: string; home: string }): Promise<ControlPlane> {
  mkdirSync(home, { recursive: true });
  const key = join(home, "accounts.key");
  writeFileSync(key, generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs1", format: "pem" }));
  writeFileSync(join(home, "tokens.csv"), 'secret,admin,admin,"system:masters"\n');
  const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
  const children = new Map<string, ChildProcess>();
  const start = (name: string, program: string, words: string[]): void => {
    const log = openSync(join(home, `${name}.log`), "a");
    children.set(name, spawn(program, words, { stdio: ["ignore", log, log] }));
  };
  const etcd = `http://127.0.0.1:${client}`;
  start("etcd", "etcd", [
    ...["--data-dir", join(home, "etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd],
    ...["--listen-peer-urls", `http://127.0.0.1:${peer}`, "--unsafe-no-fsync"],
  ]);
  start("apiserver", join(binaries, "kube-apiserver"), [
    ...[`--etcd-servers=${etcd}`, `--secure-port=${port}`, "--bind-address=127.0.0.1", `--cert-dir=${join(home, "certificates")}`],
    ...["--service-account-issuer=https://onestep.test", `--service-account-key-file=${key}`, `--service-account-signing-key-file=${key}`],
    ...["--authorization-mode=AlwaysAllow", `--token-auth-file=${join(home, "tokens.csv")}`, "--service-cluster-ip-range=10.0.0.0/24"],
    "--disable-admission-plugins=ServiceAccount", // nobody makes tokens for pods
  ]);
  const options = { host: "127.0.0.1", port, rejectUnauthorized: false, agent: false as const };
  const headers = { Authorization: "Bearer secret" };

  const ask: ControlPlane["ask"] = (method, path, body, type = "application/json") =>
    new Promise((resolve, reject) => {
      const asked = request({ ...options, method, path, headers: { ...headers, "Content-Type": type } }, (response) => {
        let text = "";
        response.on("data", (piece) => (text += piece)).on("error", reject);
        response.on("end", () => {
          const answer = text.startsWith("{") ? JSON.parse(text) : text;
          if ((response.statusCode ?? 500) < 300) resolve(answer);
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${answer.message ?? text}`));
        });
      });
      asked.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
    });
  let isStopped = false;
  const watch: ControlPlane["watch"] = (path, onObject) => {
    const again = () => void setTimeout(200).then(() => isStopped || watch(path, onObject));
    const asked = request({ ...options, path: `${path}?watch=1&resourceVersion=0`, headers }, (response) => {
      let rest = "";
      response.on("data", (piece) => {
        const lines = (rest + piece).split("\n");
        rest = lines.pop() as string;
        for (const { type, object } of lines.map((line) => JSON.parse(line))) {
          if (type === "ADDED" || type === "MODIFIED") onObject(object); // not of what is gone, nor that the watching ended
        }
      });
      response.on("error", () => {}).on("close", again);
    });
    asked.on("error", again).end();
  };

  const kubeconfig = join(home, "kubeconfig.json"); // which is YAML too
  const server = { server: `https://127.0.0.1:${port}`, "insecure-skip-tls-verify": true };
  const contexts = [{ name: "here", context: { cluster: "here", user: "admin" } }];
  const users = [{ name: "admin", user: { token: "secret" } }];
  const config = { apiVersion: "v1", kind: "Config", "current-context": "here", contexts, users };
  writeFileSync(kubeconfig, JSON.stringify({ ...config, clusters: [{ name: "here", cluster: server }] }));
  const startControllers = () =>
    start("controllers", join(binaries, "kube-controller-manager"), [
      ...[`--kubeconfig=${kubeconfig}`, "--controllers=job-controller", "--leader-elect=false", "--secure-port=0"],
    ]);
  const stop = () => {
    isStopped = true;
    for (const child of children.values()) child.kill("SIGKILL");
  };
  try {
    for (let tries = 0; ; tries++) {
      if (await ask("GET", "/api/v1/namespaces/default").catch(() => undefined)) break;
      if (tries === 600)
        throw new Error(`kube-apiserver does not answer:\n${readFileSync(join(home, "apiserver.log"), "utf8").slice(-4000)}`);
      await setTimeout(200);
    }
  } catch (error) {
    stop();
    throw error;
  }
  startControllers();
  const restartControllers = () => {
    children.get("controllers")?.kill("SIGKILL");
    startControllers();
  };
  return { ask, watch, restartControllers, stop };
}
