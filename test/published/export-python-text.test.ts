/** Exported students in Python: the other families that read text, small, for attention over many tokens takes its time. */
import { suite } from "../harness.ts";
import { compareInPython } from "./in-python.ts";

const test = suite("exports in Python, of text");

const cases = [
  { pipeline: "sd21v", steps: [999, 499] },
  { pipeline: "sdxl" },
  { pipeline: "pixart", size: 64 },
  { pipeline: "sd3" },
  { pipeline: "flux", size: 64 },
];
const wide: [number, number] = [32, 48];
const sized = ["sd15", "sdxl", "pixart", "sd3", "flux"].map((pipeline) => ({ pipeline, size: pipeline === "sd15" ? 64 : wide }));
compareInPython(test, sized, "diffusers", "transformers");
compareInPython(test, cases, "diffusers", "transformers");

test.run();
