/**
 * What a node does for a pod, as far as a Job can tell: the container's command runs as process 1 of namespaces of its own, with the
 * pod's name as host, its variables and its volumes, is told to stop when the pod is deleted, and its end is reported. No images and no
 * cgroups: the container sees this machine's files, and may take all of it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Answer, ControlPlane } from "./control-plane.ts";

const PODS = "/api/v1/namespaces/default/pods";

export interface Kubelet {
  /** The container of each pod by its name, while it runs. */
  running: ReadonlyMap<string, Answer>;
  /** What pods have printed, and their exit codes, in the order of their ends. */
  ended: { name: string; index: string | undefined; code: number; said: string }[];
  /** A signal to the first process of a pod's container. */
  kill: (name: string, signal: NodeJS.Signals) => void;
}

/** Runs all pods. `claims` are the folders of volume claims, by name. */
export function startKubelet({ ask, watch }: ControlPlane, { claims, home }: { claims: Record<string, string>; home: string }): Kubelet {
  const running = new Map<string, Answer>();
  const children = new Map<string, ChildProcess>();
  const ended: Kubelet["ended"] = [];
  const known = new Set<string>();
  const stopping = new Set<string>();
  const report = (name: string, status: unknown) =>
    ask("PATCH", `${PODS}/${name}/status`, { status }, "application/strategic-merge-patch+json");

  async function run(pod: Answer): Promise<void> {
    const { name, uid } = pod.metadata;
    const [container] = pod.spec.containers;
    const target = { apiVersion: "v1", kind: "Node", name: "here" };
    await ask("POST", `${PODS}/${name}/binding`, { apiVersion: "v1", kind: "Binding", metadata: { name }, target });
    const env = { PATH: process.env.PATH, HOME: home, HOSTNAME: hostOf(pod), ...(await variablesOf(pod)) };
    const words = [container.command, container.args].flat().map((word: string) => word.replaceAll("$$", "$")); // as Kubernetes does
    // The first process of its namespace, as in a container: a signal that it does not listen to does not end it.
    const namespaces = ["--pid", "--fork", "--mount", "--mount-proc", "--uts", "--kill-child"];
    const child = spawn("unshare", [...namespaces, "sh", "-ec", `${setUp(pod, claims)}exec "$@"`, "sh", ...words], { env, cwd: "/" });
    children.set(name, child);
    const startedAt = new Date().toISOString();
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
    const status = (state: unknown) => [
      { name: container.name, state, image: container.image, imageID: "", ready: false, restartCount: 0 },
    ];
    await report(name, { phase: "Running", startTime: startedAt, containerStatuses: status({ running: { startedAt } }) });
    running.set(name, pod);
    const code = await new Promise<number>(
      (resolve) => child.once("close", (code) => resolve(killed.has(child) ? 137 : (code ?? 143))), // unshare itself ends with 1
    );
    running.delete(name);
    ended.push({ name, index: indexOf(pod), code, said });
    const terminated = { exitCode: code, startedAt, finishedAt: new Date().toISOString(), reason: code === 0 ? "Completed" : "Error" };
    await report(name, { phase: code === 0 ? "Succeeded" : "Failed", containerStatuses: status({ terminated }) });
    if (stopping.has(uid)) await remove(name, uid);
  }

  const remove = (name: string, uid: string) =>
    ask("DELETE", `${PODS}/${name}`, { gracePeriodSeconds: 0, preconditions: { uid } }).catch(() => {}); // it is gone

  async function stop({ metadata }: Answer): Promise<void> {
    const { name, uid, deletionGracePeriodSeconds: grace } = metadata;
    if (!running.has(name)) return void (await remove(name, uid));
    signalTo(children.get(name), "SIGTERM");
    await setTimeout(1000 * grace, undefined, { ref: false });
    if (running.get(name)?.metadata.uid === uid) signalTo(children.get(name), "SIGKILL");
  }

  async function variablesOf(pod: Answer): Promise<Record<string, string>> {
    const [{ env = [], envFrom = [] }] = pod.spec.containers;
    const found: Record<string, string> = {};
    for (const { secretRef } of envFrom) {
      const { data } = await ask("GET", `/api/v1/namespaces/default/secrets/${secretRef.name}`);
      for (const [name, value] of Object.entries(data)) found[name] = Buffer.from(value as string, "base64").toString();
    }
    for (const { name, value, valueFrom } of env) {
      const [, part = "", key = ""] = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(valueFrom?.fieldRef?.fieldPath ?? "") ?? [];
      found[name] = value ?? pod.metadata[part]?.[key] ?? "";
    }
    return found;
  }

  watch(PODS, (pod) => {
    const { uid, deletionTimestamp } = pod.metadata;
    const complain = (error: Error) => console.error(error.message);
    if (!known.has(uid) && deletionTimestamp === undefined) {
      known.add(uid);
      run(pod).catch(complain);
    } else if (deletionTimestamp !== undefined && !stopping.has(uid)) {
      stopping.add(uid);
      stop(pod).catch(complain);
    }
  });
  return { running, ended, kill: (name, signal) => signalTo(children.get(name), signal) };
}

const killed = new WeakSet<ChildProcess>();

const indexOf = (pod: Answer): string | undefined => pod.metadata.annotations?.["batch.kubernetes.io/job-completion-index"];

/** Of an Indexed Job it is the index's: a pod in the place of a killed one has the same. */
const hostOf = (pod: Answer): string => pod.spec.hostname ?? pod.metadata.name;

/** The shell's words that give the container its name and its volumes. */
function setUp(pod: Answer, claims: Record<string, string>): string {
  const lines = (pod.spec.containers[0].volumeMounts ?? []).map(({ name, mountPath }: Answer) => {
    const { persistentVolumeClaim: claim } = pod.spec.volumes.find((volume: Answer) => volume.name === name);
    if (claim) return `mount --bind '${claims[claim.claimName]}' '${mountPath}'`;
    return `mount -t tmpfs tmpfs '${dirname(mountPath)}'; mkdir '${mountPath}'`; // this machine's own folders stay as they are
  });
  return [`hostname '${hostOf(pod)}'`, ...lines].map((line) => `${line}; `).join("");
}

/** To the process that unshare has started, which is the first of the pod's. */
function signalTo(child: ChildProcess | undefined, signal: NodeJS.Signals): void {
  if (child && signal === "SIGKILL") killed.add(child);
  try {
    const pid = Number(readFileSync(`/proc/${child?.pid}/task/${child?.pid}/children`, "utf8").trim());
    if (pid > 0) process.kill(pid, signal);
  } catch {} // it has ended
}
