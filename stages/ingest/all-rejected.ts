import { type MonoTypeOperatorFunction, defer, tap } from "rxjs";
import { Failure } from "../../schemas/failure.ts";
import type { ImageSample, Rejected } from "../../schemas/images.ts";
import { through } from "../flow/mod.ts";
import type { ImageSource } from "./images.ts";

/**
 * Passes decoded samples on, and ends the flow with a Failure as soon as a whole archive or folder has been rejected:
 * how many entries, and the most frequent reason. For `source.images()` decoded in order; a source that `from` cut is
 * let go.
 */
export function failIfAllRejected({ parts }: Pick<ImageSource, "parts">): MonoTypeOperatorFunction<ImageSample | Rejected> {
  const ends = parts.map((_, i) => parts.slice(0, i + 1).reduce((sum, { entries }) => sum + entries, 0));
  return through((samples) =>
    defer(() => {
      const reasons = new Map<string, number>();
      let part = 0;
      let rejected = 0;
      return samples.pipe(
        tap((sample) => {
          while (sample.index >= (ends[part] ?? Number.POSITIVE_INFINITY)) {
            part++;
            rejected = 0;
            reasons.clear();
          }
          if (sample.kind === "image") return;
          rejected++;
          reasons.set(sample.reason, (reasons.get(sample.reason) ?? 0) + 1);
          if (rejected !== parts[part]?.entries) return;
          const [reason, times] = [...reasons].reduce((most, next) => (next[1] > most[1] ? next : most));
          const share = times === rejected ? "each of them" : `${times} of them`;
          throw new Failure(
            `Cannot ingest "${sample.source}": it holds no usable image; ${rejected} entries were rejected, ` +
              `${share} because: ${reason}`,
          );
        }),
      );
    }),
  );
}
