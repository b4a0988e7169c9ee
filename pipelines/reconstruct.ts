/**
 * pipeline reconstruct --model RUN --reference LATENTS [--steps 1,2] [--grid FILE.png] [--out FILE.json]
 *
 * latents | tokens | images again, by the tokenizer and by the student | how far they are from the images
 */
import type { Context, PipelineEvent } from "../schemas/events.ts";
import type { Settings } from "../schemas/settings.ts";
import { load, machine } from "../stages/doctor/machine.ts";
import { type Summary, summarise } from "../stages/evaluate/measures.ts";
import { isEnough, openReconstruction, type Reconstruction, type Way } from "../stages/evaluate/reconstruction.ts";
import { writeGrid } from "../stages/picture/write-grid.ts";
import { writeAtomic } from "../store/places/atomic.ts";

/** Images of a grid. */
const COLUMNS = 16;

/**
 * Draws `evaluate.count` images of a latent store again from their own tokens, by the tokenizer's decoder and by a student of
 * layton in each number of network calls, and measures both against the images: Fréchet distance, LPIPS, PSNR. Reports a table,
 * and answers it. `grid` is a PNG of some of them; `out` a JSON file of everything, by seed. Throws a Failure where the student
 * reads no tokens or the store has other latents.
 */
export async function reconstruct(options: {
  model: string;
  reference: string;
  /** Numbers of network calls, as in "1,2"; the fewest and the student's own unless told. */
  steps?: string;
  out?: string;
  grid?: string;
  /** The command line, for the file. */
  command?: string;
  settings: Settings;
  context: Context;
}): Promise<Way[]> {
  const { model, reference, steps, out, grid, command, settings, context } = options;
  const began = { load: load() };
  const reconstruction = await openReconstruction({ path: model, reference, steps, settings, context });
  const { network } = reconstruction;
  const { count } = reconstruction.reference;
  const ways: Way[] = [];
  try {
    if (grid !== undefined) {
      await paint(grid, reconstruction);
      context.report({ type: "note", stage: "reconstruct", message: `Images above what is drawn of their tokens: ${grid}` });
    }
    if (!isEnough(count, network)) {
      const message = `no Fréchet distance: ${count} images are too few for the ${network.dimension} features of ${network.name}`;
      context.report({ type: "note", stage: "reconstruct", message });
    }
    for await (const way of reconstruction.measure()) {
      ways.push(way);
      if (out !== undefined) await writeRecord({ path: out, command, ...began, settings, reconstruction, ways });
    }
    context.report(table(ways, reconstruction));
    return ways;
  } finally {
    await reconstruction.close();
  }
}

/** The images, and below each what every way makes of it. */
async function paint(path: string, { lines }: Reconstruction): Promise<void> {
  const drawn = await lines(COLUMNS);
  const [first] = drawn;
  const columns = first?.pictures.length ?? 0;
  const isSmall = (first?.pictures[0]?.width ?? 0) < 48;
  await writeGrid({
    path,
    columns,
    scale: isSmall ? 2 : 1,
    images: drawn.flatMap(({ pictures }) => pictures),
    rowLabels: drawn.map(({ label }) => label),
  });
}

const figures = { frechetDistance: "Fréchet", lpips: "LPIPS", psnr: "PSNR, dB" } as const;
type Figure = keyof typeof figures;

/** A figure over seeds; undefined where it was not measured. */
function summaryOf({ seeds }: Way, name: Figure): Summary | undefined {
  const values = seeds.flatMap((of) => of[name] ?? []);
  return values.length > 0 ? summarise(values) : undefined;
}

function table(ways: readonly Way[], { reference, network }: Reconstruction): PipelineEvent {
  const names = (Object.keys(figures) as Figure[]).filter((name) => ways.some((way) => summaryOf(way, name)));
  const rows = ways.map((way) => ({
    subject: way.subject,
    NFE: way.evaluations === 0 ? "" : way.evaluations,
    images: way.seeds[0]?.count ?? 0,
    ...Object.fromEntries(names.map((name) => [figures[name], inWords(summaryOf(way, name))])),
  }));
  const about = `images of ${reference.path} drawn again from their own tokens; features ${network.name} ${network.hash.slice(0, 12)}`;
  return { type: "table", stage: "reconstruct", rows, about };
}

/** Mean and spread. */
function inWords(found: Summary | undefined): number | string {
  if (!found) return "";
  const mean = Number(found.mean.toPrecision(4));
  return found.spread === undefined ? mean : `${mean} ± ${Number(found.spread.toPrecision(2))}`;
}

async function writeRecord(options: {
  path: string;
  command?: string;
  load: number;
  settings: Settings;
  reconstruction: Reconstruction;
  ways: readonly Way[];
}): Promise<void> {
  const { path, command, load, settings, ways } = options;
  const { model, reference, network } = options.reconstruction;
  const { seed, evaluate, engine } = settings;
  const record = {
    format: "onestep-reconstruction",
    version: 1,
    command,
    machine: machine(),
    load,
    settings: { seed, evaluate, engine },
    model: model.description.hash,
    reference,
    features: network,
    subjects: ways.map((way) => ({
      ...way,
      figures: Object.fromEntries(
        (Object.keys(figures) as Figure[]).flatMap((name) => (summaryOf(way, name) ? [[name, summaryOf(way, name)]] : [])),
      ),
    })),
  };
  await writeAtomic(path, `${JSON.stringify(record, null, 2)}\n`);
}
