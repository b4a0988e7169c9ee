/** Exported students in Python: the other families that read text, small, for attention over many tokens takes its time. */
import { suite } from "../harness.ts";
import { compareInPython } from "./in-python.ts";

const test = suite("exports in Python, of text");

const cases = [
  { pipeline: "sd21v", steps: [999, 499] },
  { pipeline: "sdxl" },
  { pipeline: "pixart", side: 16 },
  { pipeline: "sd3" },
  { pipeline: "flux", side: 16 },
];
compareInPython(test, cases, "diffusers", "transformers");

test.run();
