/** Completion: what the words of a line may become, and the scripts in the shells that they are for. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { commands } from "../../bin/commands.mts";
import { candidates } from "../../bin/completion.mts";
import { createMemory } from "../../bin/memory.mts";
import { methodNames } from "../../methods/registry.ts";
import { presetNames } from "../../recipes/recipe.ts";
import { assignmentLayer } from "../../recipes/resolve-settings.ts";
import { settingPaths } from "../../recipes/settings-paths.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { graphFormats, modelFormats } from "../../stages/export/model/formats.ts";
import { exportFormats } from "../../stages/export/formats.ts";
import { assert, suite } from "../harness.ts";

const test = suite("completion");
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-completion-"));
});
test.after(() => rm(folder, { recursive: true }));

/** Candidates of a line, whose last word is empty where it ends in a space. */
const complete = (line: string): Promise<string[]> =>
  candidates({ words: line.split(" "), table: commands, remembered: (_, make) => make() });

const expected: [line: string, candidates: readonly string[]][] = [
  ["tra", ["train"]],
  ["si", ["simulate"]],
  ["comple", ["completion"]], // and not the internal one
  ["xyzzy", []],
  ["--v", ["--version"]],
  ["help ev", ["evaluate"]],
  ["xyzzy --", []],
  ["simulate --so", ["--solver"]],
  ["simulate --teacher t --c", ["--conditions", "--count", "--config", "--cache"]],
  ["simulate --config f --c", ["--conditions", "--count", "--cache"]], // a flag that was given is not offered again
  ["simulate --set seed=1 --se", ["--set", "--seed"]], // unless it may be
  ["simulate --solver ", ["auto", "published", "euler", "heun", "ddim", "dpm++2m"]],
  ["simulate --solver e", ["euler"]],
  ["simulate --solver=h", ["--solver=heun"]],
  ["simulate --teacher ", []], // a path, which the shell knows
  ["simulate --count ", []],
  ["simulate --quiet --dev", ["--device"]], // a switch takes no value
  ["simulate --teacher --so", []], // the flag's value, whatever it looks like
  ["pretrain ", ["teacher", "autoencoder", "perceptual", "tokenizer", "prior"]],
  ["pretrain --data a --out b au", ["autoencoder"]],
  ["ingest a.zip ", []],
  ["ingest a.zip --si", ["--size"]],
  ["methods d", ["d2o", "denoising", "diffusion2gan"]],
  ["completion ", ["bash", "zsh", "fish"]],
  ["train --method ", methodNames()],
  ["run --preset s", presetNames().filter((name) => name.startsWith("s"))],
  ["export triples --format ", [...exportFormats, ...modelFormats.filter((format) => !exportFormats.includes(format)), ...graphFormats]],
  ["bench --only dit,st", ["dit,store"]],
  ["train --set simulate.no", ["simulate.noise="]],
  ["train --set simulate.noise=", ["simulate.noise=derived", "simulate.noise=stored"]],
  ["train --set simulate.noise=s", ["simulate.noise=stored"]],
  ["train --set=evaluate.speed=", ["--set=evaluate.speed=true", "--set=evaluate.speed=false"]],
  ["train --set pretrain.autoencoder.downsample=", [2, 4, 8].map((factor) => `pretrain.autoencoder.downsample=${factor}`)],
  ["train --set train.method=", methodNames().map((name) => `train.method=${name}`)],
  ["train --set train.steps=", []],
  ["train --set train.diffusion2gan.ada", ["train.diffusion2gan.adapter="]],
  ["train --set train.diffusion2gan.adapter=", []], // names and groups: nothing to list
];

test("a word becomes what may stand there", async () => {
  for (const [line, words] of expected) assert.equal(await complete(line), words, line);
});

test("a line without words has every command that people use", async () => {
  const all = await complete("");
  assert.equal(all, [...commands.flatMap(({ name }) => (name === "complete" ? [] : name)), "help"]);
});

test("a command's flags come where no further word is expected", async () => {
  assert.equal(await complete("train "), await complete("train --"));
  assert.ok((await complete("train ")).includes("--teacher"));
});

test("--set offers exactly the paths that hold a value, and each listed value is accepted", async () => {
  const paths = (await complete("doctor --set ")).map((word) => word.slice(0, -1));
  assert.equal(
    paths,
    settingPaths().filter((path) => !settingPaths().some((other) => other.startsWith(`${path}.`))),
  );
  assert.ok(paths.length > 100);
  let listed = 0;
  for (const path of paths) {
    for (const assignment of await complete(`doctor --set ${path}=`)) {
      assert.ok(settingsSchema.safeParse(assignmentLayer(assignment).values).success, assignment);
      listed++;
    }
  }
  assert.ok(listed > 30);
});

test("names are remembered until the program changes, and a broken memory is made anew", async () => {
  const place = join(folder, "memory");
  let made = 0;
  const make = async () => [`made ${++made}`];
  assert.equal(await createMemory({ folder: place, stamp: "a" })("names", make), ["made 1"]);
  assert.equal(await createMemory({ folder: place, stamp: "a" })("names", make), ["made 1"]);
  assert.equal(await createMemory({ folder: place, stamp: "a" })("others", make), ["made 2"]);
  assert.equal(await createMemory({ folder: place, stamp: "a" })("names", make), ["made 1"]);
  assert.equal(await createMemory({ folder: place, stamp: "b" })("names", make), ["made 3"]);
  await writeFile(join(place, "completion.json"), "{");
  assert.equal(await createMemory({ folder: place, stamp: "b" })("names", make), ["made 4"]);
  const nowhere = join(place, "completion.json", "folder"); // cannot be made: a file is in the way
  assert.equal(await createMemory({ folder: nowhere, stamp: "b" })("names", make), ["made 5"]);
});

/** What a shell prints of a script, with this checkout's pipeline in its PATH. */
async function inShell(shell: string, script: string, ...words: string[]): Promise<string> {
  const env = { ...process.env, PATH: `${join(root, "bin")}:${process.env.PATH}`, XDG_CACHE_HOME: join(folder, "cache") };
  const { stdout } = await promisify(execFile)(shell, ["-c", script, ...words], { cwd: folder, env });
  return stdout.trimEnd();
}

/** A test of a shell, where there is one. */
function shellTest(shell: string, name: string, body: () => Promise<void>): void {
  if (spawnSync(shell, ["-c", "true"]).error) test.skip(name, `there is no ${shell} here`);
  else test(name, body, { seconds: 120 });
}

/** As readline calls the function: the line's words, split at "=" too; prints COMPREPLY. */
const readline = `
eval "$(pipeline completion bash)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_pipeline
printf '%s\\n' "\${COMPREPLY[@]}"`;

shellTest("bash", "bash completes by its script", async () => {
  const lines: [words: string[], replies: string[]][] = [
    [["tra"], ["train"]],
    [["help", "ev"], ["evaluate"]],
    [
      ["simulate", "--solver", ""],
      ["auto", "published", "euler", "heun", "ddim", "dpm++2m"],
    ],
    [["simulate", "--solver", "=", "h"], ["heun"]],
    [["train", "--set", "simulate.noi"], ["simulate.noise="]],
    [
      ["train", "--set", "simulate.noise", "="],
      ["derived", "stored"],
    ],
    [["train", "--set", "simulate.noise", "=", "st"], ["stored"]],
    [["train", "--set", "seed", "=", "1", "--met"], ["--method"]],
    [["ingest", "a photo.zip", "--help", "--si"], ["--size"]],
    [["ingest", ""], [""]], // nothing: the shell's own file names
  ];
  for (const [words, replies] of lines) {
    assert.equal((await inShell("bash", readline, "bash", "pipeline", ...words)).split("\n"), replies, words.join(" "));
  }
});

shellTest("bash", "bash falls back to file names", async () => {
  const options = await inShell("bash", 'eval "$(pipeline completion bash)"; complete -p pipeline');
  assert.is(options, "complete -o default -F _pipeline pipeline");
});

shellTest("fish", "fish completes by its script", async () => {
  await writeFile(join(folder, "photos.zip"), "");
  const ask = async (line: string) => (await inShell("fish", `pipeline completion fish | source; complete -C "${line}"`)).split("\n");
  assert.equal(await ask("pipeline tra"), ["train"]);
  assert.equal(await ask("pipeline train --set simulate.noise=st"), ["simulate.noise=stored"]);
  assert.equal(await ask("pipeline ingest pho"), ["photos.zip"]);
});

shellTest("zsh", "zsh completes by its script", async () => {
  const script = `
compdef() { : }
compadd() { while [[ $1 != -- ]]; do shift; done; shift; (( $# )) && print -l -- "$@"; return 0 }
_files() { print files }
eval "$(pipeline completion zsh)"
words=("$@") CURRENT=$#
_pipeline`;
  const ask = (...words: string[]) => inShell("zsh", script, "zsh", "pipeline", ...words);
  assert.is(await ask("tra"), "train");
  assert.is(await ask("simulate", "--solver", ""), "auto\npublished\neuler\nheun\nddim\ndpm++2m");
  assert.is(await ask("train", "--set", "simulate.noi"), "simulate.noise=");
  assert.is(await ask("ingest", ""), "files");
});

test.run();
