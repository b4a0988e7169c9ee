/** What `pipeline cluster` prints: bash and Kubernetes' own schemas take it, and wrong requests are refused in a sentence. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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

test("a script for sbatch holds the array, resources and the command with its part, and bash reads it", async () => {
  const { code, out } = await printed(
    `slurm --tasks 64 --at-once 8 --gpus 2 --memory 32G --time 12:00:00 --grace 90 --retries 3 ${simulate}`,
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
  assert.match(out, /^pipeline simulate --teacher teacher --out triples --count 1000000 --part auto\/64 &$/m);
  assert.match(out, /RESTART_COUNT:-0}" -lt 3 \]/);
  assert.is(spawnSync("bash", ["-n"], { input: out }).status, 0);
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
    "it's $HOME",
    "--part",
    "auto/2",
  ]);
});

test("Kubernetes hands on a word's dollars as they are", async () => {
  const words = ["kubernetes", "--image", "i", "--", "train", "--store", "s", "--teacher", "$(HOME) $$", "--out", "s3://b/s"];
  const { args } = parse((await printed(words)).out).spec.template.spec.containers[0];
  // As its documents say: $$ is one $, and $(NAME) the variable's value.
  const handed = args.map((word: string) => word.replace(/\$\$|\$\((\w+)\)/g, (found, name) => (name ? "filled in" : found.charAt(0))));
  assert.equal(handed, words.slice(4));
});

const kubernetes = `kubernetes --tasks 64 --image registry/onestep:1 --claim data:/data ${simulate.replace("triples", "/data/triples")}`;
const training = "kubernetes --image onestep -- train --store s3://data/triples --teacher teacher --out s3://data/student";

test("a manifest is an Indexed Job with retries for each index, and a training one pod", async () => {
  const { spec } = parse((await printed(kubernetes)).out);
  assert.equal([spec.completionMode, spec.completions, spec.parallelism, spec.backoffLimitPerIndex], ["Indexed", 64, 64, 5]);
  assert.equal(spec.podFailurePolicy.rules[0], {
    action: "FailIndex",
    onExitCodes: { containerName: "onestep", operator: "In", values: [2] },
  });
  const [container] = spec.template.spec.containers;
  assert.equal(container.args.slice(-2), ["--part", "auto/64"]);
  assert.equal(container.resources.limits, { cpu: 4, memory: "16Gi", "nvidia.com/gpu": 1 });
  assert.match(container.env[0].value, /graphics/);
  assert.is(spec.template.spec.terminationGracePeriodSeconds, 60);
  const one = parse((await printed(training)).out).spec;
  assert.equal([one.completionMode, one.completions, one.backoffLimit], [undefined, 1, 5]);
  assert.equal(one.template.spec.containers[0].args, [
    "train",
    "--store",
    "s3://data/triples",
    "--teacher",
    "teacher",
    "--out",
    "s3://data/student",
  ]);
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
        `kubernetes --tasks 2 --gpus 0 --retries 0 --image onestep ${simulate.replace("triples", "s3://data/triples")}`,
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
    [`slurm --tasks 4 ${simulate} --device cuda:0,cuda:1`, /expected --gpus 2/],
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
