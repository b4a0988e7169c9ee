/** AutoencoderKL against the golden vectors. */
import { suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published kl");
holdToGolden(test, [
  ["sd15", "vae", 3],
  ["sd21v", "vae", 3],
  ["sdxl", "vae", 3],
  ["pixart", "vae", 3],
  ["sd3", "vae", 3],
  ["flux", "vae", 3],
  ["dit", "vae", 3],
]);
test.run();
