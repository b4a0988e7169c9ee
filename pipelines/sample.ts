/**
 * pipeline sample --model RUN --out GRID.png [--steps K] [--prior RUN] [--lora FILE[:SCALE]] [--size WxH]
 *
 * model | samples | picture grid
 */
import { labelsOf } from "../models/denoiser.ts";
import { conditionColumns } from "../models/encoders/own.ts";
import type { Context } from "../schemas/events.ts";
import { badUsage } from "../schemas/failure.ts";
import { writeSettingsBeside } from "../stages/runs/settings-file.ts";
import type { Settings } from "../schemas/settings.ts";
import type { Taking } from "../stages/published/teacher.ts";
import { type Generated, openGenerator } from "../stages/sample/generator.ts";
import { readPrompts } from "../stages/simulate/prompts.ts";
import { writeGrid } from "../stages/picture/write-grid.ts";

/**
 * Draws `count` samples of a model, a run folder, and puts them into a PNG grid at `out` where one is named, with what they show:
 * a class a row where the classes divide the count, else the class or caption under each. `steps` asks for as many network calls
 * of a student, of a teacher for as many steps of its solver; `prior`, a run of `pretrain prior`, makes the tokens of a model that
 * draws from tokens. `prompt` is the caption of all samples, those of `settings.simulate.prompts` come in turn. Reports evaluations
 * and seconds an image. Throws a usage failure where a student was not made for so many steps, or reads no captions.
 */
export async function sample(
  options: Taking & {
    model: string;
    count: number;
    out?: string;
    steps?: number;
    prior?: string;
    prompt?: string;
    settings: Settings;
    context: Context;
  },
): Promise<Generated[]> {
  const { model, loras, size, count, out, steps, prior, settings, context } = options;
  const captions = await captionsOf(options);
  const generator = await openGenerator({
    path: model,
    settings,
    context,
    steps,
    prior,
    batch: Math.min(count, settings.simulate.batch),
    loras,
    size,
  });
  const { kind, nfe, priorCalls, description } = generator;
  const { spec } = description;
  if (captions && !conditionColumns(spec.network).includes("caption")) {
    await generator.close();
    throw badUsage(`Cannot draw "${captions[0]}" with ${model}: it reads no captions. Leave --prompt and --prompts out`);
  }
  const classes = labelsOf(spec);
  const { columns, labels } = gridOf(count, classes.length);
  const pictures: Generated[] = [];
  const start = performance.now();
  try {
    for await (const picture of generator.sample({
      seed: settings.seed,
      count,
      ...(labels && { labels }),
      ...(captions && { captions }),
    })) {
      pictures.push(picture);
      context.report({ type: "progress", stage: "sample", done: pictures.length, total: count, unit: "images" });
    }
  } finally {
    await generator.close();
  }
  const seconds = (performance.now() - start) / 1000 / count;

  const shows = pictures.map(({ label, caption }) => caption ?? (label === null ? "" : (classes[label] as string)));
  const words = labels ? { rowLabels: [...classes] } : { captions: shows };
  const isSmall = (pictures[0] as Generated).width < 48;
  if (out !== undefined) {
    await writeGrid({ path: out, images: pictures, columns, scale: isSmall ? 2 : 1, ...(shows.some(Boolean) && words) });
    await writeSettingsBeside(out, settings, context);
  }
  context.report({
    type: "result",
    stage: "sample",
    values: {
      ...(out !== undefined && { out }),
      images: count,
      model: kind,
      evaluations: nfe,
      ...(priorCalls !== undefined && { "calls of the prior": priorCalls }),
      "seconds per image": seconds,
    },
  });
  return pictures;
}

/** The captions that are asked for, one a sample; undefined where none are. */
async function captionsOf({ prompt, count, settings }: Parameters<typeof sample>[0]): Promise<string[] | undefined> {
  const { prompts: path } = settings.simulate;
  const prompts = prompt !== undefined ? [prompt] : path !== undefined ? await readPrompts(path) : undefined;
  return prompts && Array.from({ length: count }, (_, i) => prompts[i % prompts.length] as string);
}

/** A square, or a row for each class where `count` fills such rows and they are no longer than 24. */
function gridOf(count: number, classes: number): { columns: number; labels?: number[] } {
  const perClass = count / classes;
  if (classes > 1 && Number.isInteger(perClass) && perClass > 1 && perClass <= 24) {
    return { columns: perClass, labels: Array.from({ length: count }, (_, i) => Math.floor(i / perClass)) };
  }
  return { columns: Math.ceil(Math.sqrt(count)) };
}
