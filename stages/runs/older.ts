/**
 * Descriptions of version 1, which carry no seal: they are held against what stands beside them, as far as that goes, and
 * whoever uses one is told that nobody can know whether it is as it was written.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import type { Context } from "../../schemas/events.ts";
import { Failure } from "../../schemas/failure.ts";
import { differences } from "../../schemas/manifest.ts";
import type { DenoiserDescription, PerceptualDescription } from "../../schemas/model.ts";
import { absent } from "../../schemas/system-error.ts";
import { examineDescriptions } from "../../store/records/checksums.ts";
import type { Taking } from "../published/teacher.ts";

/**
 * Who wants to hear what a user should know of a description: a command's context, say; and how a published pipeline is taken: with
 * LoRAs, at another size of pictures than it was trained on.
 */
export type Reading = Partial<Pick<Context, "report">> & Taking;

/** What was told: a command reads some descriptions several times. */
const told = new Set<string>();

/** Says, once for each file, that it carries no seal. */
export function warnUnsealed(path: string, { report }: Reading): void {
  if (!report || told.has(path)) return;
  told.add(path);
  const message = `${path} is of version 1 and carries no seal, so that a change of it since it was written would not show`;
  report({ type: "warning", stage: "model", message });
}

/**
 * Holds a teacher against RUN/settings.yaml, where there is one: they name network and diffusion it was trained with. The
 * settings beside a student are those of its training, not of its network. Throws a Failure that names the keys that differ.
 */
export async function checkOldModel(folder: string, path: string, description: DenoiserDescription | PerceptualDescription): Promise<void> {
  const settings = await settingsBeside(folder);
  if (!settings) return;
  const { network, diffusion } = settings;
  const differing =
    description.role === "teacher"
      ? [...inGroup("spec.network", description.spec.network, network), ...inGroup("spec.diffusion", description.spec.diffusion, diffusion)]
      : description.role === "perceptual"
        ? inGroup("config", { sigmaData: description.config.sigmaData }, sigmaOf(diffusion))
        : [];
  if (differing.length === 0) return;
  throw new Failure(
    `Cannot trust ${path}: it is not the description that its run wrote, by the settings.yaml beside it ` +
      `(${differing.slice(0, 3).join("; ")}). Put both files back as they were, or make the folder anew.`,
  );
}

/** In a store the codec's description is covered by checksums.json. Answers whether it is; throws a Failure where it differs. */
export async function isOldCodecCovered(folder: string): Promise<boolean> {
  const examined = await examineDescriptions(folder);
  const wrong = examined?.find(({ file }) => file === "codec.json" || file === "checksums.json");
  if (!wrong) return examined !== undefined;
  throw new Failure(
    `Cannot trust ${join(folder, wrong.file)}: ${wrong.problem}. Repeat the command that made the store with --repair: it is written anew.`,
  );
}

/** Keys of the settings that differ, of those the settings have: later versions add some. */
function inGroup(place: string, found: Record<string, unknown>, group: unknown): string[] {
  if (group === null || typeof group !== "object") return [];
  const known = Object.entries(found).filter(([key]) => key in group);
  return differences(
    Object.fromEntries(known),
    Object.fromEntries(known.map(([key]) => [key, (group as Record<string, unknown>)[key]])),
  ).map((each) => `${place}.${each}`);
}

function sigmaOf(diffusion: unknown): unknown {
  return diffusion !== null && typeof diffusion === "object" && "sigmaData" in diffusion ? { sigmaData: diffusion.sigmaData } : undefined;
}

/** The settings beside a model; undefined where there are none that can be read as such. */
async function settingsBeside(folder: string): Promise<Record<string, unknown> | undefined> {
  const text = (await readFile(join(folder, "settings.yaml"), "utf8").catch(absent)) ?? "";
  try {
    const settings: unknown = parse(text);
    return settings !== null && typeof settings === "object" ? (settings as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
