/** The class-conditional DiT against the golden vectors. */
import { suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published dit-class");
holdToGolden(test, [["dit", "transformer", 1]]);
test.run();
