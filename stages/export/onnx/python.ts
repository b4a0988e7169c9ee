/** The same pictures by Python's onnxruntime, and the checker of Python's onnx, where there is a Python that has them. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Failure } from "../../../schemas/failure.ts";
import { packageText } from "../../../schemas/package.ts";
import { parsedJson } from "../../../schemas/json.ts";
import type { DrawnFrom } from "./exported.ts";
import type { Drawable, Drawn } from "./runner.ts";

/** What Python says it has, and found. */
interface Answer {
  onnxruntime?: string;
  onnx?: string;
  problem?: string;
}

export interface ByPython {
  /** "onnxruntime 1.32.0 (Python)"; undefined where it is not there. */
  runtime?: string;
  drawn?: Drawn;
  /** "onnx 1.23.2", whose checker found nothing wrong; undefined where it is not there. */
  checker?: string;
}

/**
 * Draws with a folder by the Python that ONESTEP_PYTHON names, or python3. Answers nothing where there is none, or none with
 * onnxruntime or onnx. Throws a Failure where the checker refuses a graph.
 */
export async function drawByPython(options: { folder: string; json: Drawable; from: DrawnFrom; signal: AbortSignal }): Promise<ByPython> {
  const { folder, json, from, signal } = options;
  const python = process.env.ONESTEP_PYTHON || "python3";
  const scratch = await mkdtemp(join(tmpdir(), "onestep-export-"));
  try {
    const arrays = { noise: from.noise.noise, ...(from.noise.prior && { prior: from.noise.prior }), ...from.conditions };
    const fresh = (from.noise.fresh ?? []).map((noise, i): [string, Float32Array] => [`fresh.${i}`, noise]);
    for (const [name, array] of [...Object.entries(arrays), ...fresh]) await writeFile(join(scratch, `${name}.bin`), array);
    const { graphs, sampler, latent } = json;
    await writeFile(join(scratch, "told.json"), JSON.stringify({ graphs, sampler, latent }));
    const script = packageText("stages/export/onnx/check_export.py");
    const said = await promisify(execFile)(python, ["-c", script, folder, scratch, String(from.rows)], { signal }).catch((error) => {
      if (signal.aborted) throw error;
      return undefined; // no Python
    });
    const answer = (said && parsedJson(said.stdout)) as Answer | undefined;
    if (answer?.problem) throw new Failure(`Cannot export to ${folder}: Python's onnx ${answer.onnx} refuses it: ${answer.problem}`);
    const read = async (name: string): Promise<Float32Array> => {
      const { buffer, byteOffset, byteLength } = await readFile(join(scratch, name));
      return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
    };
    return {
      ...(answer?.onnx && { checker: `onnx ${answer.onnx}` }),
      ...(answer?.onnxruntime && {
        runtime: `onnxruntime ${answer.onnxruntime} (Python)`,
        drawn: { latent: await read("latent.bin"), image: await read("image.bin") },
      }),
    };
  } finally {
    await rm(scratch, { recursive: true });
  }
}
