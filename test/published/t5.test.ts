/** T5's encoder against the golden vectors. */
import { suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published t5");
holdToGolden(test, [
  ["pixart", "text_encoder", 1],
  ["sd3", "text_encoder_3", 1],
  ["flux", "text_encoder_2", 1],
]);
test.run();
