/** `pipeline methods` as a list that fits a terminal, and `pipeline methods NAME` with all there is to know of one. */
import { commandLine } from "../fixtures/command-line.ts";
import { methods } from "../../methods/registry.ts";
import { resolveSettings } from "../../recipes/resolve-settings.ts";
import { assert, suite } from "../harness.ts";

const test = suite("list of methods");

async function lines(...args: string[]): Promise<{ code: number; out: string[]; err: string }> {
  const { code, out, err } = await commandLine(args, { columns: 120 });
  return { code, out: out.trimEnd().split("\n"), err };
}

/** A line's words that stand apart by two blanks or more. */
const cells = (line: string): string[] => line.trim().split(/ {2,}/);

test("every method is listed with what it does in one line, what it makes and needs, and its source", async () => {
  const { code, out } = await lines("methods");
  assert.is(code, 0);
  for (const { name, makes, about, source } of methods) {
    const at = out.indexOf(name);
    assert.ok(at >= 0, name);
    const facts = Object.fromEntries(out.slice(at + 1, at + 5).map(cells));
    assert.equal({ ...facts, needs: "" }, { about, makes, needs: "", source });
    assert.ok(facts.needs!.length > 0 && out[at + 1]!.length <= 120, name);
  }
  const needs = (name: string): string => cells(out[out.indexOf(name) + 3]!)[1]!;
  assert.is(needs("instaflow"), "triples, the teacher, a perceptual network where there is one");
  assert.is(needs("autoencoder"), "pixels");
});

test("a method is shown with its source and every setting of its own, by a path that --set takes", async () => {
  const defaults = resolveSettings([]);
  for (const { name, source, makes, settings } of methods) {
    const { code, out } = await lines("methods", name);
    assert.is(code, 0);
    assert.ok(
      out.some((line) => cells(line).join("|") === `source|${source}`),
      name,
    );
    const rows = out.slice(out.findIndex((line) => /^ +setting +default +accepted$/.test(line)) + 1).map(cells);
    const group = makes === "student" ? `train.${name}` : `pretrain.${makes}`;
    assert.equal(
      rows.map(([path]) => path),
      Object.keys(settings.shape).map((key) => `${group}.${key}`),
    );
    for (const [path = "", shown, accepted] of rows) {
      const value = path.split(".").reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], defaults);
      assert.is(shown, value === undefined ? "none" : typeof value === "string" ? value : JSON.stringify(value), path);
      assert.match(accepted ?? "", /^(a |one of |true or false$|text|")/, path);
    }
  }
});

test("phases and needs follow the settings", async () => {
  const whole = (await lines("methods", "instaflow", "--set", "train.instaflow.pairSteps=7")).out.map((line) => cells(line).join("|"));
  assert.ok(whole.includes("pairs|simulate|solver=euler, steps=7, guidance=1.5"), whole.join("\n"));
  assert.ok(whole.includes("needs|triples, the teacher, a perceptual network where there is one"));
  const part = (await lines("methods", "instaflow", "--set", "train.instaflow.phase=reflow")).out.map((line) => cells(line).join("|"));
  assert.not.ok(part.includes("phases"));
  assert.ok(part.includes("needs|triples, the teacher"));
});

test("a name that is no method's is refused with the nearest", async () => {
  const { code, err } = await lines("methods", "denoisin");
  assert.equal([code, err], [2, 'Unknown method "denoisin": did you mean "denoising"?\n']);
});

test.run();
