/** `pipeline evaluate`: a model's images and real ones, side by side in one feature space. */
import type { Context } from "../schemas/events.ts";
import { Failure } from "../schemas/failure.ts";
import type { Settings } from "../schemas/settings.ts";
import type { Measurer } from "../stages/compute/measurer.ts";
import { requireEnough } from "../stages/evaluate/compare.ts";
import { type Measures, measureLines } from "../stages/evaluate/lines.ts";
import { isSceneCaption } from "../stages/evaluate/obedience.ts";
import { openReference } from "../stages/evaluate/reference.ts";
import { openGenerator } from "../stages/generator.ts";
import { startWorker } from "../stages/worker.ts";

/**
 * Measures `evaluate.count` images of a model, and of its teacher where given, against as many of the reference,
 * generated under the conditions of those very images. Where the reference has twice as many, a second draw of it shows
 * what a perfect model would get. Reports a result line for each figure and answers them all. Throws a Failure when the
 * images are too few for the feature network, or not of the model's size.
 */
export async function evaluate(options: {
  model: string;
  teacher?: string;
  reference: string;
  settings: Settings;
  context: Context;
}): Promise<Measures[]> {
  const { model, teacher, settings, context } = options;
  const { signal, report } = context;
  const { count, features, batch } = settings.evaluate;
  const reference = await openReference({ path: options.reference, settings, signal });
  const measurer = await startWorker<Measurer>({
    name: "measurer",
    module: new URL("../stages/compute/measurer.ts", import.meta.url),
    remedy: "lower evaluate.batch",
    options: { features, imageSize: reference.size, batch, engine: settings.engine },
    signal,
  });
  const measured: Measures[] = [];

  /** Streams pictures into a set; answers how many there were and the seconds that making one took. */
  async function gather(set: string, pictures: AsyncIterable<Gathered>): Promise<{ done: number; seconds: number }> {
    let [done, seconds, asked] = [0, 0, performance.now()];
    for await (const { pixels, caption } of pictures) {
      seconds += (performance.now() - asked) / 1000;
      if (pixels.length !== reference.size ** 2 * 3) {
        const side = Math.sqrt(pixels.length / 3);
        throw new Failure(
          `Cannot compare images of ${side} px with ${options.reference} at ${reference.size} px: give images, or latents ` +
            `ingested at images.size ${side}`,
        );
      }
      const copy = pixels.slice(); // a view would be sent with the whole batch behind it
      const scene = isSceneCaption(caption) ? { scene: caption } : {};
      await measurer.call("add", { set, pixels: copy, ...scene }, { transfer: [copy.buffer] });
      report({ type: "progress", stage: `evaluate ${set}`, done: ++done, total: count, unit: "images" });
      asked = performance.now();
    }
    return { done, seconds: seconds / done };
  }

  async function conclude(sets: { generated: string; reference: string }, figures: Omit<Measures, "comparison">) {
    const comparison = await measurer.call("compare", sets);
    const obedience = sets.reference === "reference" ? await measurer.call("obedience", sets.generated) : undefined;
    const measures = { comparison, obedience, ...figures };
    for (const line of measureLines(measures)) report(line);
    measured.push(measures);
  }

  async function measureModel(set: "model" | "teacher", path: string, conditions: Conditions): Promise<string> {
    const generator = await openGenerator({ path, settings, context });
    const subject = `${generator.kind}, ${generator.nfe} NFE`;
    try {
      const images = generator.sample({ seed: settings.seed, start: 0, count, ...conditions });
      const { seconds } = await gather(set, withCaptions(images, conditions.captions));
      const { preparation } = reference;
      await conclude(
        { generated: set, reference: "reference" },
        { subject, preparation, evaluations: generator.nfe, seconds },
      );
    } finally {
      await generator.close();
    }
    return subject;
  }

  try {
    requireEnough({ count, network: await measurer.call("network", undefined) });
    const conditions: Conditions = { labels: new Int32Array(count).fill(-1), captions: new Array(count).fill(null) };
    const { done } = await gather("reference", noting(reference.draw(count), conditions));
    if (done < count) {
      throw new Failure(
        `Cannot compare ${count} images with ${options.reference}: it holds ${done}; lower evaluate.count to that`,
      );
    }
    const subject = await measureModel("model", model, conditions);
    if (teacher) {
      const against = await measureModel("teacher", teacher, conditions);
      await conclude(
        { generated: "model", reference: "teacher" },
        { subject: `${subject}, against the ${against}`, preparation: "generated from the same noise" },
      );
    }
    const again = "reference again";
    if (reference.available >= 2 * count && (await gather(again, reference.draw(count))).done === count) {
      await conclude(
        { generated: again, reference: "reference" },
        { subject: "another draw of the reference", preparation: reference.preparation },
      );
    }
    return measured;
  } finally {
    await measurer.close();
  }
}

interface Gathered {
  pixels: Uint8Array;
  caption?: string | null;
}

/** Of image i of the reference, and so of image i of every model. */
interface Conditions {
  labels: Int32Array; // -1: none
  captions: (string | null)[];
}

/** Notes the conditions of real images as they pass. */
async function* noting(
  pictures: AsyncIterable<Gathered & { label?: number }>,
  { labels, captions }: Conditions,
): AsyncGenerator<Gathered> {
  let i = 0;
  for await (const { pixels, label, caption } of pictures) {
    labels[i] = label ?? -1;
    captions[i++] = caption ?? null;
    yield { pixels, caption };
  }
}

async function* withCaptions(images: AsyncIterable<Gathered>, captions: (string | null)[]): AsyncGenerator<Gathered> {
  let i = 0;
  for await (const { pixels } of images) yield { pixels, caption: captions[i++] };
}
