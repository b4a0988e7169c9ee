/** Exported students in Python: of pixels, of classes, Stable Diffusion whole and as a LoRA. */
import { suite } from "../harness.ts";
import { compareInPython } from "./in-python.ts";

const test = suite("exports in Python");

compareInPython(
  test,
  [
    { pipeline: "ddpm" },
    { pipeline: "dit", steps: [999, 749, 499, 249] },
    { pipeline: "sd15" },
    { pipeline: "sd15", format: "single-file" },
  ],
  "diffusers",
  "transformers",
);
compareInPython(test, [{ pipeline: "sd15", format: "lora" }], "diffusers", "peft");

test.run();
