/** A student whose teacher was one network and no pipeline (EDM): its weights and config, as the teacher's folder has them. */
import { join } from "node:path";
import { weightsIn } from "../../../models/published/folder.ts";
import { openWeights } from "../../../models/weights/load.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";
import type { Denoiser } from "../../runs/model.ts";
import { jsonText, type StoredAs, writeTorchWeights } from "./parts.ts";
import type { Source } from "./source.ts";

/** Writes network.safetensors and config.json; stored filters, which no network here reads, come from the teacher. */
export async function writeNetworkAlone(options: { out: string; model: Denoiser; source: Source; dtype: StoredAs }): Promise<string> {
  const { out, model, source, dtype } = options;
  const { today = (name: string) => name } = source.names;
  const { tensors } = await openWeights(await weightsIn(source.path));
  const others = Object.fromEntries(Object.entries(tensors).filter(([name]) => today(name) === undefined));
  const path = join(out, "network.safetensors");
  await writeTorchWeights({ path, weights: model.weights, dtype, others });
  await writeAtomic(join(out, "config.json"), jsonText(model.description.spec.network.published as object));
  return path;
}
