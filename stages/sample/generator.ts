/** A teacher or student of a run folder as a generator of pictures. */
import type { ConditionColumn, Conditioned } from "../../models/conditions.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import type { Picture } from "../../schemas/images.ts";
import type { DenoiserDescription } from "../../schemas/model.ts";
import type { Settings } from "../../schemas/settings.ts";
import type { Taking } from "../published/teacher.ts";
import { readDenoiser } from "../runs/model.ts";
import { openConditions } from "./conditions.ts";
import { type Draw, type Drawing, openDrawing, type Rows } from "./drawing.ts";
import { checkPrior, openTokenSource } from "./token-source.ts";

/** A picture and the condition it was made under. */
export interface Generated extends Picture {
  label: number | null;
  caption: string | null;
}

export interface Generator {
  kind: "teacher" | "student";
  /** The run folder. */
  path: string;
  /** Network evaluations per sample. */
  nfe: number;
  /** Calls of the prior before those, one a token, where the model draws from tokens. */
  priorCalls?: number;
  description: DenoiserDescription;
  /** Pictures in order, `batch` at a time. Throws a Failure at the first batch with values that are not finite. */
  sample: (draw: Draw) => AsyncGenerator<Generated>;
  /** Clean latents [count * h * w * c] in the model's scale, of the same samples. */
  latents: (draw: Draw) => Promise<Float32Array>;
  decode: Drawing["decode"];
  close: () => Promise<void>;
}

/**
 * Opens the model of a run folder: a student samples as its model.json says, a teacher by `settings.simulate`; `steps` asks for
 * another number of network calls of the one, of solver steps of the other. `batch` samples go through the network at once. A
 * model that draws from tokens has them from `prior`, a run of `pretrain prior`. Throws a usage failure where a student was not
 * made for so many steps, or has no tokens to draw from.
 */
export async function openGenerator(
  options: Taking & {
    path: string;
    settings: Settings;
    context: Context;
    batch?: number;
    steps?: number;
    prior?: string;
  },
): Promise<Generator> {
  const { path, settings, context, prior } = options;
  const { batch = settings.simulate.batch } = options;
  const { loras, size } = options;
  const model = await readDenoiser(path, { ...context, loras, size, textLength: settings.simulate.textLength });
  const { description } = model;
  const { role, spec } = description;
  checkPrior(model, path, prior);
  const drawing = await openDrawing({ ...options, model, batch });
  const { engine } = settings;
  const source =
    prior === undefined
      ? undefined
      : await openTokenSource({ model: path, prior, description, batch, engine, context }).catch(async (error) => {
          await drawing.close();
          throw error;
        });
  const conditions = openConditions({ description, choice: settings.simulate, engine, signal: context.signal });
  const { columns } = source ?? conditions;
  const reads = (column: ConditionColumn): boolean => columns.includes(column);

  /** The conditions asked for; where there are none, the model's own. */
  function conditioned({ seed, start = 0, count, labels, captions }: Draw): Conditioned {
    const own = conditions.spread(start + count, description.captions, seed);
    const label = Int32Array.from({ length: count }, (_, i) => {
      const asked = labels?.[i] ?? -1;
      return asked >= 0 ? asked : (own.label[start + i] as number);
    });
    const unknown = reads("label") ? label.find((value) => value >= spec.classes.length) : undefined;
    if (unknown !== undefined) {
      throw new Failure(
        `Cannot generate class ${unknown} with ${path}: it has classes 0 to ${spec.classes.length - 1}. ` +
          "Name a reference with the same classes.",
      );
    }
    const caption = Array.from({ length: count }, (_, i) => captions?.[i] ?? own.caption[start + i] ?? null);
    return { label, caption };
  }

  /** Samples under conditions, one call of the worker. */
  async function integrate(rows: Rows, given: Conditioned): Promise<Float32Array> {
    return drawing.latents(rows, source ? await source.codes(rows, given) : await conditions.inputs(given));
  }

  return {
    kind: role,
    path,
    nfe: drawing.nfe,
    ...(source && { priorCalls: source.calls }),
    description,
    latents: async (draw) => integrate(draw, conditioned(draw)),
    decode: drawing.decode,
    sample: async function* (draw) {
      const all = conditioned(draw);
      for (let from = 0; from < draw.count; from += batch) {
        const count = Math.min(batch, draw.count - from);
        const label = all.label.subarray(from, from + count);
        const caption = all.caption.slice(from, from + count);
        const latents = await integrate({ ...draw, start: (draw.start ?? 0) + from, count }, { label, caption });
        for (const [i, picture] of (await drawing.decode(latents)).entries()) {
          yield {
            ...picture,
            label: reads("label") ? (label[i] as number) : null,
            caption: reads("caption") ? (caption[i] as string | null) : null,
          };
        }
      }
    },
    close: async () => {
      await Promise.all([drawing.close(), source?.close(), conditions.close()]);
    },
  };
}
