/** The models that an evaluation draws from. */
import type { Context } from "../../schemas/events.ts";
import type { ImageSize } from "../../schemas/images.ts";
import type { Settings } from "../../schemas/settings.ts";
import { isPublishedTeacher } from "../published/teacher.ts";
import { type Generator, openGenerator } from "../sample/generator.ts";

/** Generators one at a time: asked for the same model twice in a row, it is the same one. */
export function createGenerators(options: {
  context: Context;
  /** That of the first model, at which published teachers draw as well. */
  size: ImageSize | undefined;
  priors: Readonly<Record<string, string>> | undefined;
}) {
  const { context, size, priors = {} } = options;
  let held: { key: string; generator: Generator } | undefined;
  const close = async (): Promise<void> => {
    await held?.generator.close();
    held = undefined;
  };
  return {
    open: async (settings: Settings, path: string, steps?: number): Promise<Generator> => {
      const key = JSON.stringify([path, settings.simulate, steps]);
      if (held?.key === key) return held.generator;
      await close();
      const generator = await openGenerator({
        path,
        settings,
        context,
        steps,
        prior: priors[path],
        ...(isPublishedTeacher(path) && { size }),
      });
      held = { key, generator };
      return generator;
    },
    close,
  };
}
