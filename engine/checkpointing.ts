/**
 * Gradient checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"): of the blocks of a forward pass
 * only what other blocks read is kept, and the backward pass computes the rest once more, by copies of the nodes that made it.
 * Equal operators over equal values: every result is the same, bit for bit.
 *
 * A runtime may run nodes in any order that gives each what it reads, and would take the copies as early as the originals. So the
 * first nodes of a block's copy read through a gate: a reshape to the shape that the value has, plus a zero that is the difference
 * of sizes of all that the backward pass before that block has made. No element is moved or looked at; but nothing of the block
 * can come back before all of that is there, nor any of its gradients be put off till after the next block.
 */
import { inTraceOrder, type Place, type Placed, type Places, type Wired } from "./places.ts";

interface Options<N> {
  places: Places;
  /** What the nodes are for. */
  outputs: readonly string[];
  /** Whether the value of that name is a constant of the model. */
  isConstant: (name: string) => boolean;
  /** A node of ONNX's own operators, with one output. */
  make: (op: string, inputs: string[], output: string) => N;
}

/** The nodes of a program with the inner values of blocks, and of pieces within them, computed again where gradients read them. */
export function checkpointed<N extends Wired>(nodes: readonly N[], options: Options<N>): N[] {
  const pieces = recomputed(inTraceOrder(nodes, options.places), "piece", options);
  const blocks = recomputed(pieces, "block", options);
  const needed = new Set(options.outputs);
  const read = blocks.toReversed().filter(({ node }) => {
    const isRead = node.outputs.some((output) => needed.has(output));
    if (isRead) for (const input of node.inputs) needed.add(input);
    return isRead;
  });
  return read.toReversed().map(({ node }) => node);
}

/** The name of the value that a copied or gated one equals. */
export const originalName = (name: string): string => name.replace(/(\/(block|piece)-again-\d+(\/of-\d+)?)+$/, "");

/** The copy of a block that one backward pass reads. */
interface Copy {
  block: number;
  gradient: number;
  /** The number of the first node that reads it. */
  from: number;
  /** Values of the block that are read. */
  names: Set<string>;
}

function recomputed<N extends Wired>(
  placed: readonly Placed<N>[],
  kind: "block" | "piece",
  { outputs, isConstant, make }: Options<N>,
): Placed<N>[] {
  const makers = new Map(placed.flatMap(({ node }, at) => node.outputs.map((output) => [output, at] as const)));
  const placeOf = (name: string): Place => placed[makers.get(name) ?? -1]?.place ?? {};

  // What is kept: whatever anybody but a gradient reads outside of the block that made it.
  const kept = new Set(outputs);
  const lastReads = new Map(outputs.map((name) => [name, Number.POSITIVE_INFINITY])); // by name
  for (const [at, { node, place }] of placed.entries()) {
    for (const input of node.inputs) {
      lastReads.set(input, Math.max(at, lastReads.get(input) ?? 0));
      if (place.gradient === undefined && placeOf(input)[kind] !== place[kind]) kept.add(input);
    }
  }
  const fixed = new Set<string>();
  const isFixed = (name: string): boolean => name === "" || isConstant(name) || fixed.has(name);
  for (const { node } of placed) if (node.inputs.every(isFixed)) for (const output of node.outputs) fixed.add(output);
  const innerBlock = (name: string): number | undefined => (kept.has(name) || fixed.has(name) ? undefined : placeOf(name)[kind]);

  const copies = new Map<string, Copy>();
  for (const [at, { node, place }] of placed.entries()) {
    const { gradient } = place;
    if (gradient === undefined) continue;
    for (const input of node.inputs) {
      const block = innerBlock(input);
      if (block === undefined) continue;
      const key = `${gradient}.${block}`;
      const copy = copies.get(key) ?? { block, gradient, from: at, names: new Set() };
      copies.set(key, copy);
      copy.names.add(input);
    }
  }

  const renamed = (name: string, gradient: number): string => `${name}/${kind}-again-${gradient}`;
  const inserted = new Map<number, Placed<N>[]>(); // by the number of the node they stand before
  const insert = (at: number, nodes: N[], gradient: number): void => {
    inserted.set(at, [...(inserted.get(at) ?? []), ...nodes.map((node) => ({ node, place: { gradient } }))]);
  };
  let gates = 0;
  let before: Copy | undefined;
  let zero: string | undefined;
  for (const copy of copies.values()) {
    const { block, gradient, from, names } = copy;
    // What the backward pass has made since the copy before, and something later reads.
    const start = before?.gradient === gradient ? before.from : firstOf(placed, gradient);
    const made = placed.slice(start, from).flatMap(({ node }) => node.outputs.filter((name) => (lastReads.get(name) ?? 0) >= from));
    if (made.length === 0 && before?.gradient !== gradient) made.push(...(placed[start - 1]?.node.outputs.slice(0, 1) ?? []));
    if (made.length > 0) {
      const gate = `gate/${kind}-${gates++}`;
      zero = `${gate}/zero`;
      const sizes = made.map((name, i) => make("Size", [name], `${gate}/size-${i}`));
      const largest = make(
        "Max",
        sizes.map(({ outputs: [size] }) => size as string),
        `${gate}/largest`,
      );
      // ONNX Runtime goes for the latest node that it needs first: what was made first shall be made first again.
      insert(from, [...sizes.reverse(), largest, make("Sub", [`${gate}/largest`, `${gate}/largest`], zero)], gradient);
    }
    before = copy;
    const wanted = new Set(names);
    const chosen: N[] = [];
    for (let at = from - 1; at >= 0; at--) {
      const { node, place } = placed[at] as Placed<N>;
      if (place[kind] !== block || !node.outputs.some((name) => wanted.has(name))) continue;
      for (const input of node.inputs) if (innerBlock(input) === block) wanted.add(input);
      chosen.unshift(node);
    }
    const gated = new Map<string, string>();
    const late = (name: string): string => {
      const gate = gated.get(name) ?? `${renamed(name, gradient)}/of-${block}`;
      if (!gated.has(name) && zero !== undefined) {
        const shape = [make("Shape", [name], `${gate}/shape`), make("Add", [`${gate}/shape`, zero], `${gate}/same`)];
        insert(from, [...shape, make("Reshape", [name, `${gate}/same`], gate)], gradient);
        gated.set(name, gate);
      }
      return gated.get(name) ?? name;
    };
    for (const node of chosen) {
      const isInner = (name: string): boolean => innerBlock(name) === block;
      const first = node.inputs.some(isInner) ? undefined : node.inputs.findIndex((name) => !isFixed(name));
      const inputs = node.inputs.map((name, i) => (isInner(name) ? renamed(name, gradient) : i === first ? late(name) : name));
      insert(from, [{ ...node, inputs, outputs: node.outputs.map((name) => renamed(name, gradient)) }], gradient);
    }
  }

  return placed.flatMap(({ node, place }, at) => {
    const { gradient } = place;
    const inputs =
      gradient === undefined ? node.inputs : node.inputs.map((name) => (innerBlock(name) === undefined ? name : renamed(name, gradient)));
    return [...(inserted.get(at) ?? []), { node: { ...node, inputs }, place }];
  });
}

/** The number of the first node of a backward pass. */
const firstOf = (placed: readonly Placed<Wired>[], gradient: number): number => placed.findIndex(({ place }) => place.gradient === gradient);
