/** Whether a whole run can be done with its settings, its teacher and its images: asked before anything is trained. */
import { methodNamed, optimiserOf, ownSettings } from "../../../methods/registry.ts";
import { requireConditions } from "../../../models/encoders/own.ts";
import { checkFit } from "../../../recipes/fit.ts";
import { partsOfRun, shapeOf } from "../../../recipes/parts.ts";
import { badUsage } from "../../../schemas/failure.ts";
import { sidesOf, sizeInWords } from "../../../schemas/images.ts";
import type { NetworkSettings, Settings } from "../../../schemas/settings.ts";
import type { ImageSource } from "../../ingest/images.ts";
import { readCodec, readDenoiser } from "../../runs/model.ts";
import { someSteps } from "./given.ts";

/** Throws a Failure where the settings do not fit each other or the teacher, before anything is made. */
export async function checkRun(settings: Settings, teacher?: string): Promise<void> {
  checkTrajectory(settings);
  const parts = partsOfRun(settings, { hasTeacher: teacher !== undefined });
  if (teacher === undefined) return checkFit({ settings, parts, shape: shapeOf(settings) });
  const { network, shape } = (await readDenoiser(teacher)).description.spec;
  const { imageSize } = (await readCodec(teacher)).description;
  checkFit({ settings: { ...settings, network }, parts, shape });
  if (imageSize === settings.images.size) return;
  throw badUsage(
    `Cannot use images.size=${settings.images.size} with the teacher ${teacher}: its latents are those of ${sizeInWords(imageSize)}; ` +
      `set images.size=${Math.max(...sidesOf(imageSize))}, or let the run train a teacher of its own on IMAGES`,
  );
}

/** Throws a usage failure where the method learns from states on the way and the simulation would keep none. */
function checkTrajectory({ simulate, train }: Settings): void {
  const method = methodNamed(train.method);
  if (!method.needs(ownSettings(method, train), optimiserOf(train)).trajectory || simulate.trajectory) return;
  throw badUsage(
    `Cannot run ${method.name} without the teacher's states on the way: name the solver steps before which they are kept, as in ` +
      `--trajectory ${someSteps(simulate.steps)} of ${simulate.steps}`,
  );
}

/** Throws a Failure where images have none of the conditions that the teacher is to take: they are listed, and nothing is made yet. */
export async function checkConditions(
  { classes, captioned }: Pick<ImageSource, "classes" | "captioned">,
  { images, network }: { images: readonly string[]; network: NetworkSettings },
): Promise<void> {
  await requireConditions({ network, data: images.join(", "), classes, captions: async () => (captioned > 0 ? ["some"] : []) });
}
