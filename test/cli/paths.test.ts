/** What stands in the way of an output, and files in the place of folders: one sentence, before any work, and nothing changed. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandLine } from "../fixtures/command-line.ts";
import type { Entry } from "../../bin/command.mts";
import { commands } from "../../bin/commands.mts";
import { assert, suite } from "../harness.ts";

const test = suite("paths of outputs and inputs");
let folder = "";
let started = 0;
/** The real table, whose commands only count that they began. */
const table: Entry[] = commands.map((entry) => ("answer" in entry ? entry : { ...entry, start: async () => void started++ }));

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "onestep-paths-"));
  await mkdir(join(folder, "run"));
  await writeFile(join(folder, "file"), "kept");
  await symlink("circle", join(folder, "circle"));
});
test.after(() => rm(folder, { recursive: true }));

async function line(args: string[]): Promise<{ code: number; err: string; began: boolean }> {
  const before = started;
  const { code, err } = await commandLine(args, { table });
  return { code, err, began: started > before };
}

/** For each command that writes or reads folders, the words before and after its path; `{}` stands for the run of a fixture. */
interface Place {
  words: string[];
  flag: string;
  kind: "folder" | "file" | "input";
}

/** Every flag and positional of the table that names an output or an input folder, with all else that the command requires. */
function places(): Place[] {
  const at = (name: string): string => join(folder, name);
  return commands.flatMap((command): Place[] => {
    if ("answer" in command) return [];
    const positionals = command.positionals.filter(({ optional }) => !optional).map(({ choices }) => choices?.[0] ?? at("run"));
    const required = Object.entries(command.flags).filter(([, { required: needed }]) => needed);
    const value = (name: string): string => {
      const { output } = command.flags[name]!;
      if (name === "format") return "npy";
      return output === undefined || output === "folder" ? at("run") : at(`new${output.file[0]}`);
    };
    const given = (except?: string): string[] => required.flatMap(([name]) => (name === except ? [] : [`--${name}`, value(name)]));
    const flags = Object.entries(command.flags).flatMap(([name, { output, input }]): Place[] => {
      if (!output && !input) return [];
      const kind = input ? "input" : output === "folder" ? "folder" : "file";
      return [{ words: [command.name, ...positionals, ...given(name)], flag: `--${name}`, kind }];
    });
    const named = command.positionals.flatMap(({ input }, i): Place[] =>
      input
        ? [{ words: [command.name, ...positionals.slice(0, i), "HERE", ...positionals.slice(i + 1), ...given()], flag: "", kind: "input" }]
        : [],
    );
    return [...flags, ...named];
  });
}

const withPath = ({ words, flag }: Place, path: string): string[] =>
  flag === "" ? words.map((word) => (word === "HERE" ? path : word)) : [...words, flag, path];

/** What is wrong with a path, and what the sentence says of it. */
const wrong: [kind: Place["kind"], path: string, says: RegExp][] = [
  ["folder", "file", /a file stands there/],
  ["folder", "file/x", /a file stands where a folder is needed/],
  ["folder", "x".repeat(300), /the name is too long/],
  ["folder", "y/".repeat(3000), /the name is too long/],
  ["folder", "circle/x", /links lead in a circle/],
  ["folder", "/dev/null", /a file stands there/],
  ["folder", "/proc/onestep", /its folder is gone, or takes no files/],
  ["file", "run", /a folder stands there; name a file, as in .*run\/file\.\w+/],
  ["file", "grid.jpg", /must end in \.\w+.*, as in .*grid\.\w+/],
  ["file", "grid", /must end in \.\w+/],
  ["file", "new/", /ends as a folder's/],
  ["file", "file/x.ENDING", /a file stands where a folder is needed/],
  ["file", `${"x".repeat(300)}.ENDING`, /the name is too long/],
  ["file", `${"x".repeat(240)}.ENDING`, /the name is too long/],
  ["file", "circle/x.ENDING", /links lead in a circle/],
  ["file", "/dev/null", /no ordinary file/],
  ["input", "file", /is a file|a file stands/],
  ["input", "file/x", /a file stands where a folder is needed/],
  ["input", "x".repeat(300), /the name is too long/],
  ["input", "circle", /links lead in a circle/],
  ["input", "/dev/null", /is a file/],
];

test(
  "what stands in the way is one sentence before the work, for every output and input of every command",
  async () => {
    const found = places();
    const kinds = (kind: Place["kind"]): number => found.filter((place) => place.kind === kind).length;
    assert.ok(
      kinds("folder") >= 9 && kinds("file") >= 5 && kinds("input") >= 15,
      JSON.stringify(["folder", "file", "input"].map((k) => kinds(k as never))),
    );
    for (const place of found) {
      const command = commands.find(({ name }) => name === place.words[0])!;
      const output = "flags" in command && place.flag !== "" ? command.flags[place.flag.slice(2)]?.output : undefined;
      const ending = typeof output === "object" ? output.file[0]!.slice(1) : "";
      for (const [kind, path, says] of wrong) {
        if (kind !== place.kind || (path.startsWith("/proc") && process.platform !== "linux")) continue;
        const named = path.replace("ENDING", ending);
        const { code, err, began } = await line(
          withPath(place, named.startsWith("/") ? named : join(folder, named) + (named.endsWith("/") ? "/" : "")),
        );
        const about = `${place.words[0]} ${place.flag} ${path.slice(0, 30)}: ${err}`;
        assert.ok(code === 1 || code === 2, about);
        assert.match(err, says, about);
        assert.match(err, /^Cannot [^\n]+\n$/, about);
        assert.is(began, false, about);
      }
    }
    assert.equal((await readdir(folder)).sort(), ["circle", "file", "run"], "nothing was written");
    assert.equal(await readdir(join(folder, "run")), []);
    assert.is(await readFile(join(folder, "file"), "utf8"), "kept");
  },
  { seconds: 120 },
);

test("what stands in nobody's way begins, and is not made by looking", async () => {
  for (const place of places()) {
    if (place.kind === "input") continue;
    const command = commands.find(({ name }) => name === place.words[0])!;
    const output = "flags" in command ? command.flags[place.flag.slice(2)]?.output : undefined;
    const path = join(folder, "deep/er", `new${typeof output === "object" ? output.file[0]!.toUpperCase() : ""}`);
    const { code, err, began } = await line(withPath(place, path));
    assert.is(code, 0, err);
    assert.ok(began);
  }
  assert.equal((await readdir(folder)).sort(), ["circle", "file", "run"]);
});

test.run();
