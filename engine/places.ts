/** Where nodes stand in a trace: in which block and piece, or in which backward pass. */
import type { Node } from "./graph.ts";
import type { Marks } from "./marks.ts";

/** What gradient checkpointing must know of a node: the names of what it reads and makes. */
export interface Wired {
  inputs: readonly string[];
  outputs: readonly string[];
}

/** Blocks, pieces and backward passes by their numbers; undefined outside of all. */
export interface Place {
  block?: number | undefined;
  piece?: number | undefined;
  gradient?: number | undefined;
}

export interface Placed<N> {
  node: N;
  place: Place;
}

/** By the name of what a node makes: its number in the trace, and its place. */
export type Places = ReadonlyMap<string, Place & { at: number }>;

const PRODUCTS = new Set(["MatMul", "Gemm", "FusedMatMul", "Conv", "ConvTranspose"]);

/** The places of a trace's nodes. What a trace holds after its last block's end belongs to no block. */
export function placesOf(nodes: readonly Node[], { ends, pieces, gradients }: Marks): Places {
  // What takes no product is cheap: such a block goes with the next, so that of a joint of two maps only the maps are kept.
  const kept: number[] = [];
  for (const end of ends) {
    if (nodes.slice(kept.at(-1) ?? 0, end).some(({ op }) => PRODUCTS.has(op))) kept.push(end);
  }
  const within = (ranges: Marks["pieces"], at: number): number | undefined => {
    const found = ranges.findIndex(([from, to]) => from <= at && at < to);
    return found < 0 ? undefined : found;
  };
  const places = new Map<string, Place & { at: number }>();
  for (const [at, { outputs }] of nodes.entries()) {
    const gradient = within(gradients, at);
    const block = kept.findIndex((end) => at < end);
    const place = gradient === undefined ? { block: block < 0 ? undefined : block, piece: within(pieces, at) } : { gradient };
    for (const output of outputs) places.set(output, { ...place, at });
  }
  return places;
}

/**
 * Nodes in the order of the trace, each after those that it reads from. One that the trace does not know, because it was made
 * from others later, stands right before the first that needs it, at the same place.
 */
export function inTraceOrder<N extends Wired>(nodes: readonly N[], places: Places): Placed<N>[] {
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const known = new Map<N, Place & { at: number }>();
  for (const node of nodes) {
    const found = node.outputs.flatMap((output) => places.get(output) ?? []);
    if (found.length > 0) known.set(node, found.reduce(later));
  }
  const ordered: Placed<N>[] = [];
  const seen = new Set<N>();
  const put = (node: N, asked: Place): void => {
    if (seen.has(node)) return;
    seen.add(node);
    const place = known.get(node) ?? asked;
    for (const input of node.inputs) {
      const maker = makers.get(input);
      if (maker) put(maker, place);
    }
    ordered.push({ node, place });
  };
  const first = [...known.keys()].sort((a, b) => (known.get(a)?.at as number) - (known.get(b)?.at as number));
  for (const node of [...first, ...nodes]) put(node, {});
  return ordered;
}

const later = <P extends { at: number }>(a: P, b: P): P => (a.at > b.at ? a : b);
