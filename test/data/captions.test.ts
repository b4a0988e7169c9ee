import { readFile } from "node:fs/promises";
import { attributeNames, attributeValues, parseCaption } from "../../data/scenes/attributes.ts";
import { representative } from "../../stages/train/prepare/teacher.ts";
import { assert, suite } from "../harness.ts";

const test = suite("captions a teacher keeps");

test("the bundled teacher's name every attribute about as often as the set does", async () => {
  const model = JSON.parse(await readFile(new URL("../../data/demo/teacher/model.json", import.meta.url), "utf8")) as {
    captions: string[];
  };
  const scenes = model.captions.map(parseCaption);
  for (const name of attributeNames) {
    for (const value of attributeValues[name]) {
      const share = scenes.filter((scene) => scene[name] === value).length / scenes.length;
      assert.ok(Math.abs(share * attributeValues[name].length - 1) < 0.3, `${value} in ${share} of the captions`);
    }
  }
});

test("a few of many come from the whole listing, sorted or not; none comes twice", () => {
  const many = Array.from({ length: 999 }, (_, i) => `${String.fromCharCode(97 + Math.floor(i / 111))}${i}`);
  const few = representative([...many, ...many], 90);
  assert.is(new Set(few).size, 90);
  for (const letter of "abcdefghi") assert.is(few.filter((caption) => caption.startsWith(letter)).length, 10);
  assert.equal(representative([...many].reverse(), 90), few);
  assert.equal(representative(["b", "a", "b"], 90), ["a", "b"]);
});

test.run();
