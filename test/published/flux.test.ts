/** FLUX against the golden vectors. */
import { suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published flux");
holdToGolden(test, [["flux", "transformer", 1]]);
test.run();
