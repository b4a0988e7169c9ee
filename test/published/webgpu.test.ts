/** Golden forwards of tiny pipelines on WebGPU's software device, in a process of its own: a driver's fault ends the process it is in. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findDriver, NO_DRIVER, withDriver } from "../engine/software-gpu.ts";
import { assert, suite } from "../harness.ts";
import { pipelines } from "./golden.ts";

const test = suite("published networks on WebGPU");
const driver = findDriver();
const pipeline = fileURLToPath(new URL("../../bin/pipeline", import.meta.url));

/** A transformer, and the others, which take longer, up to minutes each; `expected` is the line of the denoiser's forward. */
const cases = [
  ["dit", "transformer out"],
  ["ddpm", "unet out", "slow"],
  ["pixart", "transformer out", "slow"],
  ["sd3", "transformer out", "slow"],
  ["flux", "transformer out", "slow"],
  ["sd15", "unet out", "slow"],
  ["sd21v", "unet out", "slow"],
  ["sdxl", "unet out", "slow"],
] as const;
const asked = (process.env.ONESTEP_WEBGPU ?? "").split(",");

for (const [name, expected, slow] of cases) {
  const title = `${name}: every forward agrees with the published library within 1e-3 of its largest element`;
  const folder = join(pipelines, name);
  const reason = driver === undefined ? NO_DRIVER : existsSync(folder) ? undefined : `there is no ${folder}`;
  if (slow && !asked.includes("all") && !asked.includes(name)) {
    test.skip(title, `slow; ONESTEP_WEBGPU=all or =${name} runs it`);
    continue;
  }
  if (driver === undefined || reason !== undefined) {
    test.skip(title, reason ?? NO_DRIVER);
    continue;
  }
  const words = [pipeline, "inspect", folder, "--parity", join(folder, "golden.safetensors"), "--set", "engine.device=webgpu"];
  const compare = async (): Promise<void> => {
    const { stdout } = await promisify(execFile)(process.execPath, words, { env: withDriver(driver) });
    assert.match(stdout, new RegExp(`${expected} +\\S+ +0\\.001 +yes`));
    assert.not.match(stdout, / no$/m);
  };
  test(title, compare, { seconds: slow ? 3600 : 240 });
}

test.run();
