/**
 * Kubernetes' own API server and Job controller run the manifests that `pipeline cluster kubernetes` prints; pods are processes of this
 * machine (kubelet.ts). Slow: `npm run test:kubernetes`, with ONESTEP_KUBERNETES the folder of kube-apiserver and kube-controller-manager.
 */
import { execFile, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parse } from "yaml";
import { assert, suite } from "../harness.ts";
import { contentsOf, writeRun } from "../simulate/fixture.ts";
import { bucketUrl, environmentOf, noBucket, objectsOf, startBucket } from "../store/bucket-server.ts";
import { type Answer, type ControlPlane, startControlPlane } from "./control-plane.ts";
import { type Kubelet, startKubelet } from "./kubelet.ts";

const test = suite("Jobs under Kubernetes");
const pipeline = fileURLToPath(new URL("../../bin/pipeline", import.meta.url));
const binaries = process.env.ONESTEP_KUBERNETES ?? "";
const JOBS = "/apis/batch/v1/namespaces/default/jobs";
const CLAIM = "/mnt"; // a folder that is there, for a pod's volume to lie over

const lacking = [
  [binaries === "", "ONESTEP_KUBERNETES does not name the folder of kube-apiserver and kube-controller-manager (CONTRIBUTING.md)"],
  [!existsSync(join(binaries, "kube-apiserver")), `there is no kube-apiserver in ${binaries}`],
  [spawnSync("etcd", ["--version"]).error !== undefined, "there is no etcd (apt-get install etcd-server)"],
  [process.getuid?.() !== 0, "only root can give a pod namespaces of its own"],
].find(([isLacking]) => isLacking)?.[1];

const root = mkdtempSync(join(tmpdir(), "onestep-kubernetes-"));
const volume = join(root, "volume");
mkdirSync(volume);
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
const set = (settings: Record<string, string | number>): string[] =>
  Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
const simulation = ["--count", "160", "--steps", "40", ...set({ "simulate.rowsPerShard": 8, "simulate.batch": 4 })];
const training = set({
  ...{ "train.steps": 24, "train.batch": 4, "train.checkpointEvery": 2, "train.warmup": 0, "train.distanceEvery": 0 },
  ...{ "train.pictureEvery": 100, "train.diffusion2gan.perceptualWeight": 0 },
});

/** Without holding the event loop, on which the kubelet watches. */
const run = async (words: string[]): Promise<string> => (await promisify(execFile)(pipeline, words, { cwd: root })).stdout;

/** What is in the image: the program, which makes one index of a job a wrong command. */
function programFor({ wrong }: { wrong?: number } = {}): string {
  const path = join(root, `pipeline-${wrong ?? "right"}`);
  const built = process.env.ONESTEP_BUILT ? `export ONESTEP_BUILT='${process.env.ONESTEP_BUILT}'\n` : "";
  const asked = wrong === undefined ? "" : `[ "$JOB_COMPLETION_INDEX" = ${wrong} ] && exec '${pipeline}' "$@" --wrong\n`;
  writeFileSync(path, `#!/bin/sh\n${built}${asked}exec '${pipeline}' "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

async function until<T>(what: string, found: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  for (let tries = 0; ; tries++) {
    const answer = await found();
    if (answer !== undefined && answer !== false) return answer;
    if (tries === 3000) throw new Error(`waited in vain for ${what}`);
    await setTimeout(200);
  }
}

/** A job that the command prints for a line, sent to the API as it stands. */
async function submitted({ ask }: ControlPlane, flags: string[], line: string[]): Promise<Answer> {
  const manifest = await run(["cluster", "kubernetes", "--image", "onestep:1", "--memory", "1G", ...flags, "--", ...line]);
  return ask("POST", `${JOBS}?fieldValidation=Strict`, parse(manifest));
}

const ended = async ({ ask }: ControlPlane, name: string): Promise<Answer | undefined> => {
  const { status } = await ask("GET", `${JOBS}/${name}`);
  return status.conditions?.some(({ type }: Answer) => type === "Complete" || type === "Failed") && status;
};

const podOf = (kubelet: Kubelet, job: string, index?: string): string | undefined =>
  [...kubelet.running.values()].find(
    ({ metadata: { labels, annotations } }) =>
      labels["batch.kubernetes.io/job-name"] === job &&
      (index === undefined || annotations["batch.kubernetes.io/job-completion-index"] === index),
  )?.metadata.name;

/** A pod once it has computed for a while, as far as its job's output shows. */
const evict = ({ ask }: ControlPlane, name: string): Promise<Answer> =>
  ask("POST", `/api/v1/namespaces/default/pods/${name}/eviction`, { apiVersion: "policy/v1", kind: "Eviction", metadata: { name } });

if (typeof lacking === "string") test.skip("simulations and a training as Jobs", lacking);
else {
  let plane: ControlPlane;
  let kubelet: Kubelet;
  let teacher: string;
  test.before(
    async () => {
      plane = await startControlPlane({ binaries, home: join(root, "plane") });
      kubelet = startKubelet(plane, { claims: { data: volume }, home: root });
      teacher = await writeRun({ condition: "none" });
      await run(["simulate", "--teacher", teacher, "--out", "single", ...simulation]);
    },
    { seconds: 400 },
  );
  test.after(() => plane?.stop());

  test(
    "six tasks on a volume, one killed, one evicted, one a wrong command, all suspended, make the store of one process",
    async () => {
      const out = `${CLAIM}/triples`;
      const flags = ["--tasks", "6", "--at-once", "3", "--claim", `data:${CLAIM}`, "--program", programFor({ wrong: 5 })];
      await submitted(plane, flags, ["simulate", "--teacher", teacher, "--out", out, ...simulation]);
      const shards = () => (existsSync(join(volume, "triples/shards")) ? readdirSync(join(volume, "triples/shards")).length : 0);
      await until("the first shard", () => shards() > 0);
      kubelet.kill(await until("index 1", () => podOf(kubelet, "simulate", "1")), "SIGKILL");
      await evict(plane, await until("index 2", () => podOf(kubelet, "simulate", "2")));
      plane.restartControllers();
      const before = shards();
      await until("another shard", () => shards() > before);
      const merge = "application/merge-patch+json";
      await plane.ask("PATCH", `${JOBS}/simulate`, { spec: { suspend: true } }, merge);
      await until(
        "all to be suspended",
        async () => kubelet.running.size === 0 && !(await plane.ask("GET", `${JOBS}/simulate`)).status.active,
      );
      await plane.ask("PATCH", `${JOBS}/simulate`, { spec: { suspend: false } }, merge);
      const status = await until("the job's end", () => ended(plane, "simulate"));

      const said = JSON.stringify({ status, pods: kubelet.ended }, null, 1);
      assert.equal([status.completedIndexes, status.failedIndexes], ["0-4", "5"], said);
      const codesOf = (index: string) => kubelet.ended.filter((pod) => pod.index === index).map(({ code }) => code);
      assert.equal(codesOf("5"), [2], said);
      assert.ok(codesOf("1").includes(137), said);
      assert.ok(codesOf("2").includes(130), said);
      assert.is(status.failed, 2, said); // the killed one and the wrong one: what was evicted or suspended does not count
      assert.equal(contentsOf(join(volume, "triples")), contentsOf(join(root, "single")), said);
    },
    { seconds: 900 },
  );

  const reason = noBucket();
  if (reason) test.skip("a simulation and a training in a bucket", reason);
  else {
    test(
      "a simulation and a training in a bucket, pods of both killed and evicted, give one process's store and student",
      async () => {
        const { endpoint } = await startBucket();
        const entries = Object.entries(environmentOf(endpoint)).map(([name, value]) => [name, Buffer.from(value).toString("base64")]);
        const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "bucket" }, data: Object.fromEntries(entries) };
        await plane.ask("POST", "/api/v1/namespaces/default/secrets", secret);
        const flags = ["--secret", "bucket", "--program", programFor()];
        const store = bucketUrl("triples");
        await submitted(
          plane,
          [...flags, "--tasks", "3", "--name", "into-bucket"],
          [...["simulate", "--teacher", teacher, "--out", store, ...simulation]],
        );
        await until("the first shard", async () => Object.keys(await objectsOf(endpoint, "triples/shards")).length > 0);
        kubelet.kill(await until("index 0", () => podOf(kubelet, "into-bucket", "0")), "SIGKILL");
        await evict(plane, await until("index 1", () => podOf(kubelet, "into-bucket", "1")));
        const made = await until("the simulation's end", () => ended(plane, "into-bucket"));
        const simulated = JSON.stringify({ made, pods: kubelet.ended }, null, 1);
        assert.equal([made.completedIndexes, made.failed], ["0-2", 1], simulated);
        assert.equal(await objectsOf(endpoint, "triples"), hexOf(join(root, "single")), simulated);

        const student = bucketUrl("student");
        const line = ["train", "--teacher", teacher, ...training];
        await submitted(plane, flags, [...line, "--store", store, "--out", student]);
        const checkpoints = async () =>
          Object.keys(await objectsOf(endpoint, "student"))
            .filter((name) => name.startsWith("checkpoint-"))
            .sort()
            .at(-1) ?? "";
        const first = await until("the first checkpoint", async () => (await checkpoints()) || undefined);
        kubelet.kill(await until("the training", () => podOf(kubelet, "train")), "SIGKILL");
        await until("another checkpoint", async () => (await checkpoints()) > first);
        await evict(plane, await until("the training", () => podOf(kubelet, "train")));
        const trained = await until("the training's end", () => ended(plane, "train"));
        const said = JSON.stringify({ trained, pods: kubelet.ended }, null, 1);
        assert.equal([trained.succeeded, trained.failed], [1, 1], said);
        await run([...line, "--store", "single", "--out", "student", "--threads", "4"]);
        const objects = await objectsOf(endpoint, "student");
        for (const name of ["weights.safetensors", "model.json", "metrics.jsonl"]) {
          assert.ok(objects[name] === readFileSync(join(root, "student", name)).toString("hex"), `${name} differs: ${said}`);
        }
      },
      { seconds: 900 },
    );
  }
}

/** All files of a store by name, as hex. */
const hexOf = (folder: string): Record<string, string> =>
  Object.fromEntries(
    (readdirSync(folder, { recursive: true, withFileTypes: true }) as { isFile(): boolean; parentPath: string; name: string }[])
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .map((path) => [path.slice(folder.length + 1), readFileSync(path).toString("hex")]),
  );

test.run();
