/** EDM's networks against the golden vectors. */
import { suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published edm");
holdToGolden(test, [["edm", "network", 2]]);
test.run();
