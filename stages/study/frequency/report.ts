/** FOLDER/frequency.md, .json and charts: which bands each noise level and each layer serves, before and after. */
import { join } from "node:path";
import { numberInWords } from "../../../schemas/words.ts";
import { writeAtomic } from "../../../store/places/atomic.ts";
import { machine } from "../../doctor/machine.ts";
import { lineChart } from "../../picture/chart.ts";
import { type Frequencies, halfLevels } from "./measure.ts";

/** One network's measurement: the teacher's, or the student's. */
export interface Measured {
  name: "teacher" | "student";
  folder: string;
  hash: string;
  frequencies: Frequencies;
}

/** Writes them; answers the path of the text. */
export async function writeFrequencies(options: {
  folder: string;
  measured: readonly Measured[];
  rows: number;
  seed: number;
  reference: string;
  command?: string;
}): Promise<string> {
  const { folder, measured, rows, seed, reference, command } = options;
  const record = { format: "onestep-frequency", version: 1, command, machine: machine(), rows, seed, reference, networks: measured };
  await writeAtomic(join(folder, "frequency.json"), `${JSON.stringify(record, null, 2)}\n`);
  for (const [file, chart] of Object.entries(frequencyCharts(measured))) await writeAtomic(join(folder, file), chart);
  const path = join(folder, "frequency.md");
  await writeAtomic(path, frequencyText({ measured, rows, reference }));
  return path;
}

/** The charts of a measurement by the names of their files: two a network. */
export function frequencyCharts(measured: readonly Pick<Measured, "name" | "frequencies">[]): Record<string, string> {
  return Object.fromEntries(
    measured.flatMap(({ name, frequencies }) => [
      [levelsChart(name), drawLevels(name, frequencies)],
      [layersChart(name), drawLayers(name, frequencies)],
    ]),
  );
}

const levelsChart = (name: string): string => `frequency-levels-${name}.svg`;
const layersChart = (name: string): string => `frequency-layers-${name}.svg`;

const bandsOf = ({ energy }: Frequencies): string[] => {
  const { length } = energy;
  const end = (band: number): string => numberInWords(Number((band / (2 * length)).toPrecision(2)));
  return energy.map((_, band) => `${end(band)} to ${end(band + 1)}`);
};

function drawLevels(name: string, frequencies: Frequencies): string {
  const { sigmas, unexplained } = frequencies;
  return String(
    lineChart({
      title: `What the ${name} leaves unexplained of each band (cycles a latent pixel)`,
      x: { label: "noise level sigma", log: true },
      y: { label: "share of the band's energy" },
      series: bandsOf(frequencies).map((band, i) => ({
        name: band,
        points: sigmas.map((sigma, level) => ({ x: sigma, y: unexplained[level]![i]! })).reverse(),
      })),
    }),
  );
}

/** The teacher works at every level, the student at the highest alone. */
const effectOf = (name: string, levels: readonly number[][], band: number): number =>
  name === "student" ? levels[0]![band]! : levels.reduce((sum, shares) => sum + shares[band]!, 0) / levels.length;

const effectWords = (name: string): string => (name === "student" ? "in its one call" : "mean over noise levels");

function drawLayers(name: string, frequencies: Frequencies): string {
  const { places, effects } = frequencies;
  return String(
    lineChart({
      title: `What the ${name} loses of each band without a place's part, ${effectWords(name)}`,
      x: {
        label: `place: 1 is ${places[0]?.place ?? "none"}, ${places.length} is ${places.at(-1)?.place ?? "none"}`,
        ...(places.length <= 30 && { ticks: places.map((_, i) => i + 1) }),
      },
      y: { label: "change over the band's energy", log: true },
      series: bandsOf(frequencies).map((band, i) => ({
        name: band,
        points: effects.map((levels, place) => ({ x: place + 1, y: effectOf(name, levels, i) })),
      })),
    }),
  );
}

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");
const digits = (value: number | undefined): string => (value === undefined ? "" : numberInWords(Number(value.toPrecision(3))));

/** The text of a measurement. */
export function frequencyText({ measured, rows, reference }: { measured: readonly Measured[]; rows: number; reference: string }): string {
  const bands = bandsOf(measured[0]!.frequencies);
  const parts = measured.flatMap(({ name, frequencies }) => [
    `## ${name[0]!.toUpperCase()}${name.slice(1)}`,
    "Half of a band is explained at this noise level, and one call makes this share of its energy of noise:",
    table(
      ["cycles a pixel", ...bands],
      [
        ["level of the half", ...halfLevels(frequencies).map(digits)],
        ["made in one call", ...frequencies.made.map(digits)],
      ],
    ),
    "Unexplained, by noise level:",
    `![Unexplained shares by noise level](${levelsChart(name)})`,
    table(
      ["sigma", ...bands],
      frequencies.sigmas.map((sigma, level) => [digits(sigma), ...frequencies.unexplained[level]!.map(digits)]),
    ),
    `Change without a place's part, ${effectWords(name)}; * marks places without which all that passes there is gone:`,
    `![Effects by place](${layersChart(name)})`,
    table(
      ["place", ...bands],
      frequencies.places.map(({ place, adds }, i) => [
        `${place}${adds ? "" : " *"}`,
        ...bands.map((_, band) => digits(effectOf(name, frequencies.effects[i]!, band))),
      ]),
    ),
  ]);
  return `${[
    "# Which frequency bands noise levels and layers serve",
    `Of ${rows} rows of ${reference}, in latents; all shares are of a band's energy about the mean latent. *Unexplained* is the error of ` +
      "D(y + sigma eps; sigma) against y, 1 where the denoiser is blind to the band; *change* is the difference of its answers " +
      "with and without what a place adds that tells rows apart and was not there before. The frequencies are of latent pixels, " +
      "half a cycle at most along an axis.",
    ...parts,
  ].join("\n\n")}\n`;
}
