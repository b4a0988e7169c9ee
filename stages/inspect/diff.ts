/** What two stores differ in: settings, rows by id, and how far their latents have drifted apart. */
import { differingKeys } from "../../schemas/manifest.ts";
import { Failure } from "../../schemas/failure.ts";
import { type StateColumn, stateColumns, tensorOf, type TripleRow } from "../../store/format/columns.ts";
import type { Store } from "../../store/shards/store.ts";
import { idOf, rowsInOrder, type StoreRow } from "./rows.ts";
import type { Facts } from "./facts.ts";
import { surveyShards } from "./ends.ts";

export interface Difference {
  /** Of the manifests: key, and what stands there in either. */
  settings: Facts[];
  rows: {
    onlyA: number;
    onlyB: number;
    same: number;
    differing: number;
    conditions: number;
    latents: number;
    /** Rows of which a state that both stores keep differs. */
    states: number;
    noises: number;
    largest: number;
  };
  /** The first rows that differ: what differs, and the largest difference of a latent value. */
  examples: Facts[];
  /** Per channel: means and standard deviations, and the shift of the mean in standard deviations of A. */
  channels: Facts[];
}

/** Compares two stores of one kind and shape, reading each once. Throws a Failure where they cannot be compared. */
export async function diffStores(
  a: Store,
  b: Store,
  options: { signal: AbortSignal; onRow?: (done: number) => void },
): Promise<Difference> {
  const { signal, onRow } = options;
  const of = ({ manifest: { kind, shape } }: Store) => `${kind} of ${shape.join(" x ")}`;
  if (of(a) !== of(b))
    throw new Failure(`Cannot compare ${a.folder} (${of(a)}) with ${b.folder} (${of(b)}): name two stores of one kind and shape.`);
  const settings = differingKeys(a.manifest, b.manifest).map(({ key, found, expected }) => ({
    setting: key,
    A: abridged(found),
    B: abridged(expected),
  }));

  const rows: Difference["rows"] = {
    onlyA: 0,
    onlyB: 0,
    same: 0,
    differing: 0,
    conditions: 0,
    latents: 0,
    states: 0,
    noises: 0,
    largest: 0,
  };
  const others = stateColumns(b.manifest);
  const shared = stateColumns(a.manifest).filter((name) => others.includes(name));
  const stateOf = (row: StoreRow, name: StateColumn): Float32Array => (row as TripleRow)[name] as Float32Array;
  const examples: Facts[] = [];
  let done = 0;
  for await (const { left, right } of paired(rowsInOrder(a, signal), rowsInOrder(b, signal))) {
    if (++done % 256 === 0) onRow?.(done);
    if (!left || !right) {
      if (left) rows.onlyA++;
      else rows.onlyB++;
      continue;
    }
    const latent = largestDifference(tensorOf(left), tensorOf(right));
    const condition = (["label", "caption", "imageIndex", "name"] as const).filter(
      (key) => conditionOf(left, key, a.manifest.classes) !== conditionOf(right, key, b.manifest.classes),
    );
    const seeds = ("seed" in left ? left.seed : 0) !== ("seed" in right ? right.seed : 0);
    const state = shared.some((name) => largestDifference(stateOf(left, name), stateOf(right, name)) > 0);
    if (latent === 0 && condition.length === 0 && !seeds && !state) {
      rows.same++;
      continue;
    }
    rows.differing++;
    if (condition.length > 0) rows.conditions++;
    if (latent > 0) rows.latents++;
    if (state) rows.states++;
    if (seeds) rows.noises++;
    rows.largest = Math.max(rows.largest, latent);
    if (examples.length < 8) {
      const what = [...condition, ...(seeds ? ["seed"] : []), ...(latent > 0 ? ["latent"] : []), ...(state ? ["states"] : [])].join(", ");
      examples.push({ id: idOf(left), differs: what, "largest latent difference": latent });
    }
  }
  return { settings, rows, examples, channels: await shift(a, b, signal) };
}

/** Rows of equal ids together, in order; one alone where the other store has none. */
async function* paired(a: AsyncGenerator<StoreRow>, b: AsyncGenerator<StoreRow>): AsyncGenerator<{ left?: StoreRow; right?: StoreRow }> {
  try {
    let [left, right] = [await a.next(), await b.next()];
    while (!left.done || !right.done) {
      const [first, second] = [left.done ? Infinity : idOf(left.value), right.done ? Infinity : idOf(right.value)];
      yield { ...(first <= second && { left: left.value }), ...(second <= first && { right: right.value }) };
      if (first <= second) left = await a.next();
      if (second <= first) right = await b.next();
    }
  } finally {
    await Promise.all([a.return(undefined), b.return(undefined)]);
  }
}

async function shift(a: Store, b: Store, signal: AbortSignal): Promise<Facts[]> {
  const [left, right] = [(await surveyShards(a, signal)).statistics, (await surveyShards(b, signal)).statistics];
  return left.mean.map((mean, c) => {
    const spread = left.std[c]! || 1;
    return {
      channel: c,
      "mean A": mean.toFixed(4),
      "mean B": right.mean[c]!.toFixed(4),
      "std A": left.std[c]!.toFixed(4),
      "std B": right.std[c]!.toFixed(4),
      "shift in std": ((right.mean[c]! - mean) / spread).toFixed(4),
      "std ratio": (right.std[c]! / spread).toFixed(4),
    };
  });
}

/** The largest distance of two tensors in one value: 0 where all bits agree, NaN included; infinite for NaN alone. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], b[i])) continue;
    const distance = Math.abs(a[i]! - b[i]!);
    largest = Math.max(largest, Number.isNaN(distance) ? Infinity : distance);
  }
  return largest;
}

/** A label by its class's name: the stores may number their classes otherwise. */
function conditionOf(row: StoreRow, key: "label" | "caption" | "imageIndex" | "name", classes: readonly string[]): unknown {
  const value = (row as Record<string, unknown>)[key] ?? null;
  return key === "label" && typeof value === "number" ? (classes[value] ?? value) : value;
}

function abridged(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}
