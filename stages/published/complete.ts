/**
 * Whether a published part's file holds its network, whole and nothing else: the network is traced over shapes alone, and every parameter
 * that it asks for is held against the file's. No element is read.
 */
import { createPlanner } from "../../engine/planner.ts";

import type { Tensor } from "../../engine/tfjs.ts";
import type { Weights } from "../../engine/weights.ts";
import { applyNetwork, conditionInputs, embedConditions } from "../../models/denoiser.ts";
import type { InputShapes } from "../../models/encoders/encoder.ts";
import { BASE, type Parameters } from "../../models/layers.ts";
import type { BoundNetwork, PublishedDenoiser } from "../../models/published/network.ts";
import { openPart } from "../../models/published/part-files.ts";
import { publishedNetwork } from "../../models/published/registry.ts";
import { toTorch } from "../../models/published/torch.ts";
import { Failure } from "../../schemas/failure.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";
import { textHash } from "../../store/places/hash.ts";
import { withLatents } from "./size.ts";

/** A network asked once, over tensors that have shapes alone. */
interface Asked {
  inputs: InputShapes;
  ask: (parameters: Parameters, inputs: Record<string, Tensor>) => Record<string, Tensor>;
}

/** Parameters that tell `read` of each that is asked for, and `lacked` of each that is asked for and not there. */
export function watched(parameters: Parameters, told: { read: (name: string) => void; lacked?: (name: string) => void }): Parameters {
  return new Proxy(parameters, {
    get: (all, name) => {
      (Object.hasOwn(all, name) ? told.read : told.lacked)?.(String(name));
      return all[String(name)] as Tensor;
    },
  });
}

/** Latents of this many of a network's smallest squares a side are asked for: what it reads does not depend on their size. */
const SQUARES = 8;

/**
 * Throws a Failure that names a parameter of the denoiser's file that the network of its config does not read, one that it reads and the
 * file lacks, or that the shapes do not fit. `place` is its part, `shapes` are the file's.
 */
export async function checkDenoiser(options: {
  place: string;
  network: Pick<BoundNetwork, "spare" | "told">;
  denoiser: PublishedDenoiser;
  spec: DenoiserSpec;
  shapes: Weights;
}): Promise<void> {
  const { denoiser, shapes } = options;
  const side = "multiple" in denoiser.sizes ? SQUARES * denoiser.sizes.multiple : undefined;
  const spec = side === undefined ? options.spec : withLatents(options.spec, [side, side]);
  const inputs = { x: { shape: [1, ...spec.shape] }, noiseLevel: { shape: [1] }, ...conditionInputs(spec, 1) };
  const ask: Asked["ask"] = (parameters, { x, noiseLevel, ...others }) => ({
    out: applyNetwork(spec, parameters, {
      x: x as Tensor,
      noiseLevel: noiseLevel as Tensor,
      condition: embedConditions(spec, parameters, others),
    }),
  });
  await checkParameters({ ...options, json: spec.network.published ?? {} }, { inputs, ask }, shapes);
}

/** The same of a text encoder that is given `length` ids, with a mask where padding is hidden. */
export async function checkEncoder({ place, length, isMasked }: { place: string; length: number; isMasked: boolean }): Promise<void> {
  const { file, json, shapes } = await openPart(place);
  const network = publishedNetwork({ json, file });
  const ids = { input_ids: { shape: [1, length], dtype: "int32" as const } };
  const inputs = { ...ids, ...(isMasked && { attention_mask: { shape: [1, length] } }) };
  const ask: Asked["ask"] = (parameters, given) => network.forward(parameters, given, "");
  await checkParameters({ place, network, json }, { inputs, ask }, await shapes(network.names));
}

/** Hashes of what was found whole: a training opens its teacher more than once. */
const whole = new Set<string>();

/** The same of any network, asked once over tensors that have shapes alone. */
export async function checkParameters(
  { place, network, json }: { place: string; network: Pick<BoundNetwork, "spare" | "told">; json: object },
  { inputs, ask }: Asked,
  shapes: Weights,
): Promise<void> {
  const key = textHash(JSON.stringify([place, json, Object.entries(shapes).map(([name, { shape }]) => [name, shape]), inputs]));
  if (whole.has(key)) return;
  const read = new Set<string>();
  const lacked = new Set<string>();
  const { engine } = createPlanner();
  const missing = (name: string): Failure =>
    new Failure(`Cannot use ${place}: its weights lack the parameter "${published(name, shapes)}"${REMEDY}`);
  await engine
    .compile({
      name: place,
      sets: { network: engine.constants("network", shapes) },
      inputs,
      run: (sets, given) => ({
        outputs: ask(watched(sets.network, { read: (name) => read.add(name), lacked: (name) => lacked.add(name) }), given),
      }),
    })
    .catch((error: Error) => {
      const [, name] = /parameter "(.+?)" is missing/.exec(error.message) ?? [];
      if (name !== undefined) throw missing(name);
      throw new Failure(`Cannot use ${place}: the shapes of its weights do not fit its config (${error.message})${REMEDY}`, {
        cause: error,
      });
    });
  for (const [name, told] of Object.entries(network.told)) {
    const found = shapes[name]?.shape;
    if (!found || String(found) === String(told)) continue;
    const what = `"${published(name, shapes)}" has the shape [${found.join(", ")}], and its config tells of [${told.join(", ")}]`;
    throw new Failure(`Cannot use ${place}: ${what} (kernels as height, width, in, out)${REMEDY}`);
  }
  const [absent] = [...lacked].filter((name) => !name.endsWith(BASE) && !network.spare?.test(name));
  if (absent !== undefined) throw missing(absent);
  const [first, ...more] = Object.keys(shapes).filter((name) => !read.has(name));
  if (first === undefined) return void whole.add(key);
  const others = more.length > 0 ? ` and ${more.length} more` : "";
  throw new Failure(
    `Cannot use ${place}: its weights have the parameter "${published(first, shapes)}"${others}, which the network of its config does ` +
      `not read${REMEDY}`,
  );
}

const REMEDY = ". Fetch the folder again, its config.json and its weights; the two are not of one network.";

/** A parameter's name in the file. */
function published(name: string, shapes: Weights): string {
  const [found = name] = Object.keys(toTorch({ [name]: shapes[name] ?? { shape: [0], data: new Float32Array(0) } }));
  return found;
}
