/**
 * pipeline methods
 *
 * methods | what each needs | table
 */
import { methods, optimiserOf, ownSettings } from "../methods/registry.ts";
import type { Context } from "../schemas/events.ts";
import type { Settings } from "../schemas/settings.ts";

/** Lists every method with one line, its source, and what it needs with these settings. */
export function listMethods({ settings, context }: { settings: Settings; context: Context }): void {
  const rows = methods.map((method) => {
    const training = method.makes === "student" ? settings.train : settings.pretrain[method.makes];
    const { rows, images, frozen } = method.needs(ownSettings(method, training), optimiserOf(training));
    const needs = [
      ...(rows === "none" ? [] : [rows === "raw" ? "pixels" : rows]),
      ...(images ? ["real images (train.images)"] : []),
      ...frozen.map((role) => (role === "perceptual" ? "a perceptual network" : `the ${role}`)),
    ];
    return { method: method.name, makes: method.makes, about: method.about, needs: needs.join(", ") || "nothing", source: method.source };
  });
  context.report({ type: "table", stage: "methods", rows });
}
