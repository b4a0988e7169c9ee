/** Streams pictures into a set of the measurer. */
import { setImmediate } from "node:timers/promises";
import type { Compute } from "../../engine/compute.ts";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { type ImageSize, pixelsOf, sidesOf, sizeInWords, sizeOf } from "../../schemas/images.ts";
import type { Measurer } from "../workers/measurer.ts";
import type { RunningObedience } from "./obedience.ts";

export interface Gathered {
  pixels: Uint8Array; // [height, width, 3]
  width?: number;
  height?: number;
  caption?: string | null;
  condition?: string;
}

type Gatherer = (options: {
  set: string;
  pictures: AsyncIterable<Gathered>;
  total: number;
  /** Counts how the captions are obeyed on the way. */
  obedience?: RunningObedience;
}) => Promise<{ done: number; seconds: number }>;

/**
 * Answers how many pictures there were and the seconds that making one took. While a batch is being measured the next
 * is made; no more than two are held. Throws a Failure where a picture is not of the reference's size.
 */
export function createGatherer(options: {
  measurer: Compute<Measurer>;
  reference: { path: string; size: ImageSize };
  batch: number;
  report: Context["report"];
}): Gatherer {
  const { measurer, reference, batch, report } = options;
  const [height, width] = sidesOf(reference.size);
  const length = height * width * 3;
  return async ({ set, pictures, total, obedience }) => {
    let [done, seconds, asked] = [0, 0, performance.now()];
    let held: Gathered[] = [];
    let sent: Promise<unknown> = Promise.resolve();
    const send = async (): Promise<void> => {
      const pixels = pixelsOf(held);
      const conditions = held.map(({ condition = "" }) => condition);
      held = [];
      await sent;
      sent = measurer.call("addAll", { set, pixels, conditions }, { transfer: [pixels.buffer] });
      sent.catch(() => {}); // awaited before the next one, and at the end
    };
    for await (const picture of pictures) {
      seconds += (performance.now() - asked) / 1000;
      if (picture.pixels.length !== length) {
        throw new Failure(unlike(picture, reference));
      }
      if (obedience && picture.caption) {
        obedience.add({ pixels: picture.pixels, width, height, caption: picture.caption });
        await setImmediate(); // reading a picture takes milliseconds, and the control thread serves others too
      }
      held.push(picture);
      report({ type: "progress", stage: `evaluate ${set}`, done: ++done, total, unit: "images" });
      if (held.length === batch) await send();
      asked = performance.now();
    }
    if (held.length > 0) await send();
    await sent;
    return { done, seconds: seconds / done };
  };
}

/** What is wrong with a picture of another size than the reference's. */
function unlike({ pixels, width, height }: Gathered, { path, size }: { path: string; size: ImageSize }): string {
  const own = width !== undefined && height !== undefined ? sizeOf([height, width]) : Math.sqrt(pixels.length / 3);
  const remedy = typeof own === "number" ? `give images, or latents ingested at images.size ${own}` : "give images";
  return `Cannot compare images of ${sizeInWords(own)} with ${path} at ${sizeInWords(size)}: ${remedy}`;
}

/** What two pictures must share to count as answers to the same request; "" where there was none. */
export function conditionName({ label, caption }: { label: number; caption: string | null }): string {
  return caption ?? (label >= 0 ? `class ${label}` : "");
}
