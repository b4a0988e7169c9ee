/** The picture that says it all: the teacher's many evaluations above the student's few, for the same noise and condition. */
import type { Context } from "../../schemas/events.ts";
import type { Settings } from "../../schemas/settings.ts";
import { type Generated, type Generator, openGenerator } from "./generator.ts";
import type { Picture } from "../../schemas/images.ts";
import { writeGrid } from "../picture/write-grid.ts";

const COLUMNS = 8;
const ROWS = 3;

/**
 * Draws samples of a teacher and, below each, its student's, and answers the network evaluations an image of both. Their noise
 * was in no triple that the student learned from.
 */
export async function drawPairs(options: {
  path: string;
  teacher: string;
  student: string;
  settings: Settings;
  context: Context;
}): Promise<{ teacher: number; student: number }> {
  const { path, settings, context } = options;
  const open = (model: string): Promise<Generator> => openGenerator({ path: model, settings, context, batch: COLUMNS });
  const [teacher, student] = await Promise.all([open(options.teacher), open(options.student)]);
  try {
    const draw = { seed: settings.seed, count: COLUMNS * ROWS };
    const [above, below] = [await collect(teacher.sample(draw)), await collect(student.sample(draw))];
    const { classes } = teacher.description.spec;
    const images = above.map((picture, i) => stack(picture, below[i] as Picture));
    const captions = above.map(({ label, caption }) => caption ?? classes[label ?? -1] ?? "");
    const rowLabels = new Array<string>(ROWS).fill(`${teacher.nfe} calls over ${student.nfe}`);
    await writeGrid({ path, images, columns: COLUMNS, captions, rowLabels, scale: 2 });
    return { teacher: teacher.nfe, student: student.nfe };
  } finally {
    await Promise.all([teacher.close(), student.close()]);
  }
}

/** One picture above another of the same size, a white line between them. */
function stack(above: Picture, below: Picture): Picture {
  const { width, height } = above;
  const line = new Uint8Array(width * 3).fill(255);
  return { width, height: 2 * height + 1, pixels: Buffer.concat([above.pixels, line, below.pixels]) };
}

async function collect(samples: AsyncIterable<Generated>): Promise<Generated[]> {
  const all: Generated[] = [];
  for await (const sample of samples) all.push(sample);
  return all;
}
