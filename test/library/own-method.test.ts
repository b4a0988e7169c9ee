/** Methods of files outside of methods/: what makes one of them a method like the others, and what is refused in a sentence. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { addMethod, methods } from "../../library/methods.ts";
import { train } from "../../library/onestep.ts";
import { addedFrom } from "../../methods/registry.ts";
import { askedMethodLayer, resolveSettings } from "../../recipes/resolve-settings.ts";
import { assert, suite } from "../harness.ts";

const test = suite("methods of one's own");
const folder = mkdtempSync(join(tmpdir(), "onestep-own-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const modules = new URL("../../library/methods.ts", import.meta.url).href;

/** A file that exports what `text` says after `base`, a whole method. */
function fileOf(name: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  const base = `const base = { name: "own", about: "a", source: "s", makes: "student", figures: [],
    settings: z.strictObject({ share: weight.default(3) }), needs: () => ({ rows: "none", frozen: [] }), parts: () => ({}),
    programs: () => ({}), step: async () => ({}) };`;
  writeFileSync(path, `import { weight, z } from ${JSON.stringify(modules)};\n${base}\n${text}\n`);
  return path;
}

test("a file's method is chosen by its path, and has its settings beside the others'", async () => {
  const path = fileOf("own.mts", "export const method = base;");
  const values = { train: { own: { share: 5 } } };
  assert.throws(() => resolveSettings([{ source: "test", values }]), /Unknown setting "train.own"/);
  const layer = await askedMethodLayer(path);
  const settings = resolveSettings([layer, { source: "test", values }]);
  assert.equal([settings.train.method, settings.train.own], ["own", { share: 5 }]);
  assert.throws(
    () => resolveSettings([{ source: "test", values: { train: { own: { share: -1 } } } }]),
    /Cannot set train.own.share to -1 \(test\): expected a number of at least 0/,
  );
  assert.is(addedFrom("own"), pathToFileURL(path).href);
  assert.is(methods.at(-1)!.name, "own");
  assert.is((await addMethod(path)).name, "own", "once more is no second one");
  assert.is(methods.filter(({ name }) => name === "own").length, 1);
});

test("what is no method of one's own is refused in a sentence", async () => {
  for (const [name, text, expected] of [
    ["none.mts", "", /Cannot use the method in file:.*none\.mts: it exports no `method`\. See docs\/ADD-A-METHOD\.md/],
    ["half.mts", "const { step, ...rest } = base; export const method = rest;", /its `method` lacks step\./],
    ["teacher.mts", 'export const method = { ...base, makes: "teacher" };', /it makes "teacher", expected "student"/],
    ["broken.mts", 'throw new Error("no luck");', /it cannot be loaded \(no luck\)/],
    ["taken.mts", 'export const method = { ...base, name: "tlcm" };', /there is a method "tlcm" already\. Give it another name/],
  ] as const) {
    await assert.rejects(() => addMethod(fileOf(name, text)), expected);
  }
  await assert.rejects(() => addMethod(join(folder, "absent.mts")), /absent\.mts: it cannot be loaded/);
  await assert.rejects(
    () => train({ method: "tlmc", teacher: folder, out: join(folder, "out") }),
    /Unknown method "tlmc": did you mean "tlcm"/,
  );
});

test.run();
