/** PixArt against the golden vectors. */
import { suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published pixart");
holdToGolden(test, [["pixart", "transformer", 1]]);
test.run();
