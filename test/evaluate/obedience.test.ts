import { scenePixels } from "../../data/scenes/draw.ts";
import { captionOf, scene } from "../../data/scenes/scene.ts";
import { isSceneCaption, obeyed } from "../../data/scenes/read.ts";
import { runningObedience } from "../../stages/evaluate/obedience.ts";
import { assert, suite } from "../harness.ts";

const test = suite("caption obedience");

/** Reads 24 pictures of the built-in set under the captions of the pictures `shift` further on. */
async function measured(shift: number) {
  const scenes = Array.from({ length: 24 }, (_, index) => scene({ seed: 5, index }));
  const obedience = runningObedience(obeyed);
  for (const [i, each] of scenes.entries()) {
    const caption = captionOf(scenes[(i + shift) % scenes.length]!);
    obedience.add({ pixels: await scenePixels(each), width: 64, height: 64, caption });
  }
  return obedience.result()!;
}

test("the set's own pictures obey their captions, and hardly ever another's", async () => {
  const own = await measured(0);
  assert.is(own.count, 24);
  assert.ok(own.all > 0.9, `${own.all}`);
  const others = await measured(7);
  assert.ok(others.all < 0.1, `${others.all}`);
  assert.ok(others.perAttribute.kind! < 0.5 && others.perAttribute.setting! < 0.6);
});

test("nothing measured is not zero; other captions are told apart", () => {
  assert.is(runningObedience(obeyed).result(), undefined);
  assert.ok(isSceneCaption(captionOf(scene({ seed: 1, index: 1 }))));
  for (const caption of ["a face with tears of joy", ""]) assert.not.ok(isSceneCaption(caption));
  const strange = runningObedience(obeyed);
  strange.add({ pixels: new Uint8Array(64 * 64 * 3), width: 64, height: 64, caption: "a face with tears of joy" });
  assert.is(strange.result(), undefined);
});

test.run();
