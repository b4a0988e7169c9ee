/** What `pipeline cluster` prints: bash and Kubernetes' own schemas take it, and wrong requests are refused in a sentence. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { execute } from "../../bin/cli.mts";
import { assert, suite } from "../harness.ts";

const test = suite("scripts and manifests");
const folder = mkdtempSync(join(tmpdir(), "onestep-cluster-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

async function printed(line: string | string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: "", err: "" };
  const outside = { signal: new AbortController().signal, terminal: false, colour: false, columns: () => 100 };
  const words = typeof line === "string" ? line.split(" ") : line;
  const add = (name: "out" | "err") => (text: string) => void (said[name] += text);
  const code = await execute(["cluster", ...words], { ...outside, out: add("out"), err: add("err") });
  return { code, ...said };
}

const simulate = "-- simulate --teacher teacher --out triples --count 1000000";
const onCard = `${simulate} --device webgpu`;

test("a script for sbatch holds the array, resources and the command with its part, and bash reads it", async () => {
  const { code, out } = await printed(
    `slurm --tasks 64 --at-once 8 --gpus 2 --memory 32G --time 12:00:00 --grace 90 --retries 3 ${onCard}`,
  );
  assert.is(code, 0);
  for (const line of [
    "--array=0-63%8",
    "--gres=gpu:2",
    "--mem=32G",
    "--cpus-per-task=4",
    "--time=12:00:00",
    "--signal=B:TERM@90",
    "--requeue",
  ]) {
    assert.ok(out.includes(`#SBATCH ${line}\n`), line);
  }
  assert.match(out, /^pipeline simulate --teacher teacher --out triples --count 1000000 --device webgpu --threads 4 --part auto\/64 &$/m);
  assert.match(out, /RESTART_COUNT:-0}" -lt 3 \]/);
  assert.is(spawnSync("bash", ["-n"], { input: out }).status, 0);
});

test("a task goes back into the queue when a signal ended it, as often as it may when it failed, never for a wrong command", async () => {
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const program = (name: string, text: string) => writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  program("squeue", "echo RUNNING");
  program("scontrol", 'echo "again: $*"');
  program("onestep", "exit $CODE");
  const { out: input } = await printed(`slurm --tasks 2 --retries 3 --program ${join(bin, "onestep")} ${simulate}`);
  const again = (code: number, restarts: number): boolean => {
    const array = { SLURM_ARRAY_JOB_ID: "7", SLURM_ARRAY_TASK_ID: "1", SLURM_RESTART_COUNT: String(restarts) };
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, CODE: String(code), ...array };
    const { status, stdout } = spawnSync("bash", { input, env, encoding: "utf8" });
    assert.is(status, code);
    return stdout === "again: requeue 7_1\n";
  };
  assert.equal([again(0, 0), again(2, 0), again(1, 2), again(1, 3), again(137, 2)], [false, false, true, false, true]);
  assert.equal([again(130, 99), again(143, 99)], [true, true]);
});

test("words that a shell would split come back whole", async () => {
  const words = ["slurm", "--tasks", "2", "--program", "/opt/my tools/pipeline", "--", "simulate", "--teacher", "t", "--out", "o"];
  const { out } = await printed([...words, "--negative", "it's $HOME"]);
  const line = /^'.*(?= &$)/m.exec(out)?.[0] ?? "";
  const { stdout } = spawnSync("bash", ["-c", `printf '%s\\n' ${line}`], { encoding: "utf8" });
  assert.equal(stdout.split("\n").slice(0, -1), [
    "/opt/my tools/pipeline",
    ...words.slice(6),
    "--negative",
    ...["it's $HOME", "--threads", "4", "--part", "auto/2"],
  ]);
});

test("Kubernetes hands on a word's dollars as they are", async () => {
  const words = ["kubernetes", "--image", "i", "--", "train", "--store", "s", "--teacher", "$(HOME) $$", "--out", "s3://b/s"];
  const { args } = parse((await printed(words)).out).spec.template.spec.containers[0];
  // As its documents say: $$ is one $, and $(NAME) the variable's value.
  const handed = args.map((word: string) => word.replace(/\$\$|\$\((\w+)\)/g, (found, name) => (name ? "filled in" : found.charAt(0))));
  assert.equal(handed, [...words.slice(4), "--threads", "4"]);
});

const kubernetes = `kubernetes --tasks 64 --image registry/onestep:1 --claim data:/data ${onCard.replace("triples", "/data/triples")}`;
const training = "kubernetes --image onestep -- train --store s3://data/triples --teacher teacher --out s3://data/student";
const jobOf = async (line: string) => {
  const { code, out, err } = await printed(line);
  assert.is(code, 0, err);
  return parse(out);
};
const containerOf = async (line: string) => (await jobOf(line)).spec.template.spec.containers[0];

test("a manifest is an Indexed Job with retries for each index, and a training one pod", async () => {
  const { spec } = parse((await printed(kubernetes)).out);
  assert.equal([spec.completionMode, spec.completions, spec.parallelism, spec.backoffLimitPerIndex], ["Indexed", 64, 64, 5]);
  assert.equal(spec.podFailurePolicy.rules[0], {
    action: "FailIndex",
    onExitCodes: { containerName: "onestep", operator: "In", values: [2] },
  });
  assert.equal(spec.podFailurePolicy.rules[1].onExitCodes.values, [130, 143]);
  const [container] = spec.template.spec.containers;
  assert.equal(container.args.slice(-2), ["--part", "auto/64"]);
  assert.equal(container.resources.limits, { cpu: 4, memory: "16Gi", "nvidia.com/gpu": 1 });
  assert.match(container.env[0].value, /graphics/);
  assert.is(spec.template.spec.terminationGracePeriodSeconds, 60);
  const one = parse((await printed(training)).out).spec;
  assert.equal([one.completionMode, one.completions, one.backoffLimit], [undefined, 1, 5]);
  assert.equal(one.template.spec.containers[0].args, [...training.split(" ").slice(4), "--threads", "4"]);
});

test("a task is given the cards that it computes on, and threads for its cores", async () => {
  const cards = async (line: string) => {
    const { resources, args } = await containerOf(`kubernetes --image i --claim data:/data ${line} --out /data/o`);
    assert.equal(resources.requests, resources.limits);
    return [resources.limits["nvidia.com/gpu"], args.slice(args.indexOf("--threads") + 1)[0]];
  };
  const train = "-- train --store /data/s --teacher /data/t";
  assert.equal(await cards(`${train}`), [undefined, "4"]); // the CPU, unless told
  assert.equal(await cards(`--cpus 16 ${train} --device cuda`), [1, "16"]);
  assert.equal(await cards(`${train} --device cuda:0,cuda:1`), [2, "4"]);
  assert.equal(await cards(`${train} --set engine.device=webgpu --set engine.threads=2`), [1, "train"]); // said already
  assert.equal(await cards(`${train} --config there/settings.yaml`), [1, "train"]); // what computes stands in a file that is not here
  assert.equal(await cards(`--gpus 0 ${train} --device webgpu`), [undefined, "4"]);
  const { tolerations } = (await jobOf(kubernetes)).spec.template.spec;
  assert.equal(tolerations, [{ key: "nvidia.com/gpu", operator: "Exists", effect: "NoSchedule" }]);
});

test("a pod of a bucket has room for what it keeps of it, and credentials and nodes where they are named", async () => {
  const { spec } = (await jobOf(`kubernetes --secret keys --account 123 --node a.b/c=true --disk 90G ${training.slice(11)}`)).spec.template;
  const [container] = spec.containers;
  assert.equal(container.envFrom, [{ secretRef: { name: "keys" } }]);
  assert.equal([spec.serviceAccountName, spec.nodeSelector], ["123", { "a.b/c": "true" }]); // text, though YAML has a number of it
  assert.equal(container.env, [
    { name: "ONESTEP_CACHE", value: "/var/cache/onestep" },
    { name: "ONESTEP_CACHE_GB", value: "60" },
  ]);
  assert.equal([container.resources.requests["ephemeral-storage"], container.resources.limits["ephemeral-storage"]], ["90Gi", undefined]);
  assert.equal(container.volumeMounts, [{ name: "cache", mountPath: "/var/cache/onestep" }]);
  assert.equal(spec.volumes, [{ name: "cache", emptyDir: {} }]);
  const both = await containerOf(`kubernetes --claim d:/data/./x/ ${training.slice(11)}`);
  assert.equal(both.volumeMounts[0].mountPath, "/data/x");
  assert.equal((await containerOf(`${training} --cache /keep`)).volumeMounts, undefined); // it lies where the line says
  assert.equal((await jobOf(kubernetes)).spec.template.spec.volumes.length, 1);
});

test("Azure's accounts need a label; what the manifest leaves to others stands in it", async () => {
  const azure = training.slice(11).replaceAll("s3:", "az:");
  assert.equal((await jobOf(`kubernetes --account a ${azure}`)).spec.template.metadata.labels, { "azure.workload.identity/use": "true" });
  assert.is((await jobOf(`kubernetes --account a ${training.slice(11)}`)).spec.template.metadata, undefined);
  const { out } = await printed(`${training} --prompts /texts/p.txt --lora l.safetensors:0.5`);
  assert.match(out, /^# On no volume, so the image must have it: "teacher", "\/texts\/p.txt", "l.safetensors"\.$/m);
  assert.match(out, /^# For s3:\/\/ it has what its node is allowed: no --secret, no --account\.$/m);
  assert.not.match((await printed(`kubernetes --secret k ${training.slice(11)}`)).out, /For s3/);
});

/** ONESTEP_KUBERNETES_VALIDATE, or the program of `pip install kubernetes-validate` on the path. */
const validator = [process.env.ONESTEP_KUBERNETES_VALIDATE ?? "", "kubernetes-validate"].find(
  (program) => program !== "" && (existsSync(program) || spawnSync(program, ["--version"]).error === undefined),
);
if (!validator) test.skip("Kubernetes' schemas take the manifests", "there is no kubernetes-validate (pip install kubernetes-validate)");
else {
  test(
    "Kubernetes' schemas take the manifests, and find a misspelt field",
    async () => {
      const path = join(folder, "job.yaml");
      const validate = (text: string) => {
        writeFileSync(path, text);
        return spawnSync(validator, ["-k", "1.34", "--strict", path], { encoding: "utf8" });
      };
      for (const line of [
        kubernetes,
        training,
        `kubernetes --tasks 2 --retries 0 --name 123 --image onestep ${simulate.replace("triples", "s3://data/triples")}`,
        `kubernetes --secret 1e3 --account true --node a.b/c=1 --disk 900M ${training.slice(11).replaceAll("s3:", "az:")} --device cuda`,
      ]) {
        const { status, stdout, stderr } = validate((await printed(line)).out);
        assert.is(status, 0, stdout + stderr);
      }
      const misspelt = (await printed(kubernetes)).out.replace("completions:", "completion:");
      assert.is.not(validate(misspelt).status, 0);
    },
    { seconds: 120 },
  );
}

test("what cannot be run so is refused", async () => {
  const wrong: [string, RegExp][] = [
    [`slurm ${simulate}`, /^Missing --tasks N of cluster/],
    [`slurm --tasks 4 ${simulate} --part 1/4`, /cluster gives each task its part/],
    [`slurm --tasks 4 ${simulate} --repair`, /Cannot spread --repair over tasks/],
    [`slurm --tasks 4 ${simulate} --teecher x`, /Unknown flag "--teecher" of simulate/],
    ["slurm --tasks 4 -- simulate --out o", /Missing --teacher/],
    ["slurm --tasks 4 -- verify triples", /expected a command of simulate or train after --/],
    ["slurm --tasks 4", /^Missing COMMAND of cluster/],
    ["slurm --tasks 4 -- train --store s --teacher t --out o", /a training is one task/],
    [`kubernetes --tasks 4 ${simulate}`, /^Missing --image/],
    [`kubernetes --tasks 4 --image i --time 1:00 ${simulate}`, /Cannot use --time with kubernetes/],
    [`kubernetes --tasks 4 --image i --claim data ${simulate}`, /expected NAME:\/PATH/],
    ["kubernetes --tasks 4 --image i -- simulate --teacher t --out o", /Cannot write --out o in a pod: it is on no volume/],
    ["kubernetes --tasks 4 --image i --claim d:/data -- simulate --teacher t --out /database", /name a URL, or a path in \/data$/m],
    ["slurm --tasks 4 -- simulate --teacher t --out ftp://b/o", /ftp/],
    [`slurm --tasks 4 ${simulate} --set simulate.stepz=3`, /simulate.stepz/],
    [`slurm --tasks 4 ${simulate} --set simulate.lead=0`, /expected text such as "200GB", or a whole number above 0/],
    [`slurm --tasks 4 ${simulate} --device abacus`, /abacus/],
    [`slurm --tasks 4 ${simulate.replace("1000000", "-5")}`, /--count/],
    [`slurm --tasks 4 --gpus 1 ${simulate} --device cuda:0,cuda:1`, /expected --gpus 2/],
    [`slurm --tasks 4 ${simulate} --device cuda:1`, /their numbers begin with cuda:0/],
    [`slurm --tasks 4 --gpus 1 ${simulate}`, /computes on the CPU unless told; give it --device webgpu or cuda/],
    [`slurm --tasks 4 --secret s ${simulate}`, /Cannot use --secret with slurm/],
    [`${training.replace("--", "--node here --")}`, /expected a label of nodes/],
    [`${training.replace("--", "--secret Sec_ret --")}`, /Cannot use --secret "Sec_ret"/],
    [`${training.replace("--", "--disk 5 --")}`, /Cannot ask for --disk "5"/],
    [`${kubernetes.replace("--", "--disk 5G --")}`, /Cannot set --disk, .*: the command names no bucket/],
    [`${kubernetes.replace("data:/data", "data:/")}`, /expected a folder below \//],
    [`${kubernetes.replace("data:/data", "data:/data/..")}`, /expected a folder below \//],
    [`${kubernetes.replace("data:/data", "data:/da:ta")}`, /expected NAME:\/PATH/],
    [`${kubernetes.replace("/data/triples", "/data/../triples")}`, /on no volume/],
    [`slurm --tasks 4 ${simulate} --help`, /Cannot use --help/],
    [`slurm --tasks 4 --time 0:59 ${simulate}`, /told to stop 60 seconds before \(--grace\)/],
    [`slurm --tasks 4 --time noon ${simulate}`, /expected HH:MM:SS/],
    [`slurm --tasks 4 --grace 70000 ${simulate}`, /Slurm takes at most 65535/],
    [`slurm --tasks 4 --memory lots ${simulate}`, /as in 16G/],
    [`slurm --tasks 4 --name Sim_1 ${simulate}`, /small letters, digits and dashes/],
    [`pbs --tasks 4 ${simulate}`, /expected slurm, kubernetes/],
  ];
  for (const [line, message] of wrong) {
    const { code, err } = await printed(line);
    assert.is(code, 2, line);
    assert.match(err, message);
  }
});

test.run();
