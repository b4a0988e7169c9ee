/** The study of all methods that make students, and of plain regression beside them: one teacher, one budget, one table. */
import type { Needs } from "../../methods/method.ts";
import { type AnyMethod, methods, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { type Study, studies, type Variant } from "./studies.ts";

/** The variant of another study that regresses the teacher's results by squared error and does nothing else. */
const regression = (): Variant[] =>
  studies.flatMap(({ name, method, variants }) =>
    name === "regression" ? variants.filter((variant) => variant.name === "squared").map((variant) => ({ ...variant, method })) : [],
  );

/** Each method by its recipe, and its published forms, at 1, 2, 4 and 8 network calls where its student was made for them. */
export function everyMethod(): Study {
  const { train } = settingsSchema.parse({});
  const needsOf = (method: AnyMethod): Needs => method.needs(ownSettings(method, train), optimiserOf(train));
  // A decoder of tokens draws again what it is shown, and is measured by `reconstruct`.
  const students = methods.filter((method) => method.makes === "student" && !needsOf(method).frozen.includes("tokenizer"));
  return {
    name: "methods",
    about: "every method by its recipe, with the same teacher, images seen, seeds and measure",
    method: train.method,
    calls: [1, 2, 4, 8],
    variants: [
      ...regression().map(({ published: _, ...plain }) => ({
        ...plain,
        name: "regression",
        about: "plain regression of the teacher's results",
      })),
      ...students.flatMap((method): Variant[] => {
        const { rows } = needsOf(method);
        const own = { [method.name]: { about: method.about, changes: {} }, ...method.forms };
        return Object.entries(own).map(([name, form]) => ({
          name,
          ...form,
          method: method.name,
          ...((rows === "latents" || rows === "raw") && { needsImages: true }),
        }));
      }),
    ],
  };
}
