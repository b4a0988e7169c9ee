/** The teacher's states on the way, as a store keeps them: how each spreads, and whether their norm falls with the noise. */
import type { TripleManifest } from "../../schemas/manifest.ts";
import { stateColumns, type TripleRow } from "../../store/format/columns.ts";
import { createSums, type Statistics, statisticsOf } from "../../store/records/statistics.ts";

/** The states before one solver step. */
export interface StateFacts {
  /** The column; "noise" for the state before step 0. */
  name: string;
  step: number;
  sigma: number;
  /** Of all rows; none of the state before step 0, which is the noise times its sigma. */
  statistics?: Statistics;
}

/** From a state to the one after it, or to the latent. */
export interface Rise {
  from: string;
  to: string;
  /** Rows whose norm is larger after it than before. */
  rows: number;
  /** The first of them. */
  id: number;
}

export interface Course {
  states: StateFacts[];
  /** Where norms rise; empty where all fall. */
  rises: Rise[];
}

/** What a norm may rise by: near the end noise hardly counts, and rounding as half floats shows. */
const SLACK = 1.05;

/** Looks at the states of rows one by one. */
export function createCourse(manifest: TripleManifest): { add: (row: TripleRow) => void; result: () => Course } {
  const { steps = [], sigmas = [] } = manifest.trajectory ?? {};
  const [height, width, channels] = manifest.shape;
  const names = stateColumns(manifest);
  const sums = names.map(() => createSums(channels));
  const firstSigma = steps[0] === 0 ? (sigmas[0] as number) : undefined;
  // The noise is not derived anew for this: its mean square is 1 within five standard errors.
  const noise = firstSigma && firstSigma * (1 + 5 / Math.sqrt(2 * height * width * channels));
  const legs = [...(noise ? ["noise"] : []), ...names, "latent"];
  const rises = legs.slice(1).map((to, i): Rise => ({ from: legs[i] as string, to, rows: 0, id: -1 }));
  return {
    add: (row) => {
      const tensors = names.map((name) => row[name] as Float32Array);
      for (const [i, tensor] of tensors.entries()) sums[i]?.add(tensor);
      const norms = [...(noise ? [noise] : []), ...[...tensors, row.latent].map(meanRoot)];
      for (const [i, rise] of rises.entries()) {
        if (!(norms[i + 1]! > SLACK * norms[i]!)) continue;
        if (rise.rows++ === 0) rise.id = row.id;
      }
    },
    result: () => ({
      states: steps.map((step, i) => {
        const column = step > 0 ? steps.filter((each) => each > 0).indexOf(step) : -1;
        const statistics = sums[column] && statisticsOf([sums[column].result()], channels);
        return { name: names[column] ?? "noise", step, sigma: sigmas[i] as number, ...(statistics && { statistics }) };
      }),
      rises: rises.filter(({ rows }) => rows > 0),
    }),
  };
}

/** Root mean square of a tensor's values. */
function meanRoot(values: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i]! * values[i]!;
  return Math.sqrt(squares / Math.max(1, values.length));
}
