/** CLIP's text encoders against the golden vectors. */
import { suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published clip");
holdToGolden(test, [
  ["sd15", "text_encoder", 3],
  ["sd21v", "text_encoder", 3],
  ["sdxl", "text_encoder", 6],
  ["sd3", "text_encoder", 7], // T5's among them
  ["flux", "text_encoder", 4],
]);
test.run();
