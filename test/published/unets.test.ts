/** U-Nets of diffusers against the golden vectors. */
import { suite } from "../harness.ts";
import { holdToGolden } from "./golden.ts";

const test = suite("published unets");
holdToGolden(test, [
  ["ddpm", "unet", 1],
  ["sd15", "unet", 2],
  ["sd21v", "unet", 1],
  ["sdxl", "unet", 1],
]);
test.run();
