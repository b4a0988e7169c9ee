/** The hottest kernels of a program of peers/programs.ts and what did not run on the device, as lines of JSON: `NAME [DEVICE] [STEPS]`. */
import { profile } from "../../engine/profile.ts";
import type { Device } from "../../engine/session.ts";
import { startStep } from "./peers/programs.ts";

const [name = "dit", device = "webgpu", steps = "5"] = process.argv.slice(2);
const SHOWN = 8;
const result = await profile({ device: device as Device, threads: 1, steps: Number(steps), start: (engine) => startStep(engine, name) });
const hottest = result.kernels.length > 0 ? result.kernels : result.byOp;
for (const row of [...hottest.slice(0, SHOWN), ...result.strayed]) console.log(JSON.stringify(row));
process.exit();
