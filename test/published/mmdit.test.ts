/** Stable Diffusion 3 against the golden vectors. */
import { suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published mmdit");
holdToGolden(test, [["sd3", "transformer", 1]]);
test.run();
