/** The study of all methods that make students, and of plain regression beside them: one teacher, one budget, one table. */
import { methods, optimiserOf, ownSettings } from "../../methods/registry.ts";
import { settingsSchema } from "../../recipes/settings.ts";
import { type Study, studies, type Variant } from "./studies.ts";

/** The variant of another study that regresses the teacher's results by squared error and does nothing else. */
const regression = (): Variant[] =>
  studies.flatMap(({ name, method, variants }) =>
    name === "regression" ? variants.filter((variant) => variant.name === "squared").map((variant) => ({ ...variant, method })) : [],
  );

/** Each method by its recipe, at 1, 2, 4 and 8 network calls where its student was made for them. */
export function everyMethod(): Study {
  const { train } = settingsSchema.parse({});
  const students = methods.filter(({ makes }) => makes === "student");
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
      ...students.map((method): Variant => {
        const { rows } = method.needs(ownSettings(method, train), optimiserOf(train));
        return {
          ...{ name: method.name, about: method.about, method: method.name, changes: {} },
          ...((rows === "latents" || rows === "raw") && { needsImages: true }),
        };
      }),
    ],
  };
}
