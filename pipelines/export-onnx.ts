/**
 * pipeline export PATH --format FORMAT --out FOLDER [--precision NAME] [--licence TEXT]
 *
 * student | graphs that draw the same pictures | files that ONNX runtimes load
 */
import type { Context } from "../schemas/events.ts";
import type { Settings } from "../schemas/settings.ts";
import { exportOnnx } from "../stages/export/onnx/export.ts";
import { claimFolder } from "../stages/export/write.ts";
import { inFolder } from "../stages/runs/folder.ts";
import { readDenoiser } from "../stages/runs/model.ts";

/**
 * Writes a student, or a teacher with its solver's steps, as ONNX graphs with onestep.json (schemas/onestep-json.ts) beside them, after
 * they have drawn the pictures that this package draws. Throws a Failure where they do not, where the model has no such form, or where
 * another export stands at `out`.
 */
export async function exportGraphs(options: {
  path: string;
  out: string;
  half?: boolean;
  licence?: string | undefined;
  settings: Settings;
  context: Context;
}): Promise<void> {
  const { path, out, half = false, licence, settings, context } = options;
  const model = await readDenoiser(path, context);
  await inFolder({ folder: out, kind: "export", command: "export", context }, async () => {
    const { hash, source } = model.description;
    const dtype = half ? "F16" : "F32";
    await claimFolder(out, { format: "onnx", weights: hash, dtype, teacher: source?.path ?? "", ...(licence && { licence }) });
    const { graphs, parity, speed } = await exportOnnx({ run: path, out, model, isHalf: half, licence, settings, context });
    const bytes = Object.values(graphs).reduce((sum, { bytes, data }) => sum + bytes + (data?.bytes ?? 0), 0);
    const [worst] = parity.differences.map(({ image }) => image).sort((a, b) => b - a);
    const values = { out, format: "onnx", bytes, "ms an image": speed.image, "largest difference": worst ?? 0, weights: hash };
    context.report({ type: "result", stage: "export", values });
  });
}
