/**
 * Gradient checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"): of the blocks of a forward pass
 * only what other blocks read is kept, and the backward pass computes the rest once more, by copies of the nodes that made it.
 * Equal operators over equal values: every result is the same, bit for bit.
 *
 * A runtime may run nodes in any order that gives each what it reads, and would take the copies as early as the originals. So the
 * first nodes of a copy read through a gate: a reshape to the shape that the value has, plus a zero that is the difference of
 * sizes of all that the backward pass has made before. No element is moved or looked at; but nothing of a block comes back before
 * all of that is there, and none of its gradients is put off till after the next block.
 */
import { inTraceOrder, type Placed, type Places, type Wired } from "./places.ts";

interface Options<N> {
  places: Places;
  /** What the nodes are for. */
  outputs: readonly string[];
  /** Whether the value of that name is a constant of the model. */
  isConstant: (name: string) => boolean;
  /** A node of ONNX's own operators, with one output. */
  make: (op: string, inputs: string[], output: string) => N;
}

type Kind = "block" | "piece";

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

const copiedName = (name: string, kind: Kind, gradient: number): string => `${name}/${kind}-again-${gradient}`;

function recomputed<N extends Wired>(placed: readonly Placed<N>[], kind: Kind, options: Options<N>): Placed<N>[] {
  const values = valuesOf(placed, kind, options);
  const inserted = new Map<number, Placed<N>[]>(); // by the number of the node they stand before
  let before: Copy | undefined;
  let zero: string | undefined;
  for (const [i, copy] of copiesOf(placed, values).entries()) {
    const { from, gradient } = copy;
    const made = madeBefore(placed, { copy, before, values });
    const waiting = made.length > 0 ? waitingFor(made, `wait/${kind}-${i}`, options.make) : undefined;
    zero = waiting?.zero ?? zero;
    const nodes = [...(waiting?.nodes ?? []), ...copiedNodes(placed, { copy, kind, values, zero, make: options.make })];
    inserted.set(from, [...(inserted.get(from) ?? []), ...nodes.map((node) => ({ node, place: { gradient } }))]);
    before = copy;
  }
  return placed.flatMap(({ node, place }, at) => {
    const { gradient } = place;
    const own = (name: string): string =>
      gradient === undefined || values.innerTo(name) === undefined ? name : copiedName(name, kind, gradient);
    return [...(inserted.get(at) ?? []), { node: { ...node, inputs: node.inputs.map(own) }, place }];
  });
}

interface Values {
  /** Whether a value follows from constants alone. */
  isFixed: (name: string) => boolean;
  /** The block that alone reads a value, gradients aside; undefined for whatever is kept. */
  innerTo: (name: string) => number | undefined;
  /** The number of the last node that reads a value. */
  lastRead: (name: string) => number;
}

function valuesOf<N extends Wired>(placed: readonly Placed<N>[], kind: Kind, { outputs, isConstant }: Options<N>): Values {
  const blocks = new Map(placed.flatMap(({ node, place }) => node.outputs.map((output) => [output, place[kind]] as const)));
  const kept = new Set(outputs);
  const reads = new Map(outputs.map((name) => [name, Number.POSITIVE_INFINITY]));
  const fixed = new Set<string>();
  const isFixed = (name: string): boolean => name === "" || isConstant(name) || fixed.has(name); // "" is an input that is left out
  for (const [at, { node, place }] of placed.entries()) {
    for (const input of node.inputs) {
      reads.set(input, Math.max(at, reads.get(input) ?? 0));
      if (place.gradient === undefined && blocks.get(input) !== place[kind]) kept.add(input);
    }
    if (node.inputs.every(isFixed)) for (const output of node.outputs) fixed.add(output);
  }
  return {
    isFixed,
    innerTo: (name) => (kept.has(name) || fixed.has(name) ? undefined : blocks.get(name)),
    lastRead: (name) => reads.get(name) ?? -1,
  };
}

/** A block as one backward pass reads it. */
interface Copy {
  block: number;
  gradient: number;
  /** The number of the first node that reads of it. */
  from: number;
  /** Values of the block that are read. */
  names: Set<string>;
}

/** In the order in which backward passes come to them. */
function copiesOf(placed: readonly Placed<Wired>[], { innerTo }: Values): Copy[] {
  const copies = new Map<string, Copy>();
  for (const [at, { node, place }] of placed.entries()) {
    const { gradient } = place;
    if (gradient === undefined) continue;
    for (const input of node.inputs) {
      const block = innerTo(input);
      if (block === undefined) continue;
      const key = `${gradient}.${block}`;
      const copy = copies.get(key) ?? { block, gradient, from: at, names: new Set() };
      copies.set(key, copy);
      copy.names.add(input);
    }
  }
  return [...copies.values()];
}

/** What a backward pass has made since it came to the copy before, and something later reads. */
function madeBefore(
  placed: readonly Placed<Wired>[],
  { copy: { gradient, from }, before, values }: { copy: Copy; before: Copy | undefined; values: Values },
): string[] {
  const goesOn = before?.gradient === gradient;
  const start = goesOn ? before.from : placed.findIndex(({ place }) => place.gradient === gradient);
  const made = placed.slice(start, from).flatMap(({ node }) => node.outputs.filter((name) => values.lastRead(name) >= from));
  if (made.length > 0 || goesOn) return made;
  return placed[start - 1]?.node.outputs.slice(0, 1) ?? []; // it begins with this block: the end of the forward pass
}

/** Nodes whose result is zero, and there only when all these values are. */
function waitingFor<N extends Wired>(values: readonly string[], name: string, make: Options<N>["make"]): { zero: string; nodes: N[] } {
  const [zero, largest] = [`${name}/zero`, `${name}/largest`];
  const sizes = values.map((_, i) => `${name}/size-${i}`);
  // ONNX Runtime goes for the latest node that it needs first: what was made first shall be made first again.
  const nodes = values.map((value, i) => make("Size", [value], sizes[i] as string)).reverse();
  return { zero, nodes: [...nodes, make("Max", sizes, largest), make("Sub", [largest, largest], zero)] };
}

/** The nodes of a block that make what is read of it, once more; those that read no other of them wait for `zero`. */
function copiedNodes<N extends Wired>(
  placed: readonly Placed<N>[],
  options: { copy: Copy; kind: Kind; values: Values; zero: string | undefined; make: Options<N>["make"] },
): N[] {
  const { copy, kind, values, zero, make } = options;
  const { block, gradient, from, names } = copy;
  const isInner = (name: string): boolean => values.innerTo(name) === block;
  const wanted = new Set(names);
  const chosen: N[] = [];
  for (let at = from - 1; at >= 0; at--) {
    const { node, place } = placed[at] as Placed<N>;
    if (place[kind] !== block || !node.outputs.some((name) => wanted.has(name))) continue;
    for (const input of node.inputs) if (isInner(input)) wanted.add(input);
    chosen.unshift(node);
  }
  const gates = new Map<string, N[]>();
  const gated = (name: string): string => {
    if (zero === undefined) return name;
    const gate = `${copiedName(name, kind, gradient)}/of-${block}`;
    const [shape, same] = [`${gate}/shape`, `${gate}/same`];
    gates.set(gate, [make("Shape", [name], shape), make("Add", [shape, zero], same), make("Reshape", [name, same], gate)]);
    return gate;
  };
  const copies = chosen.map((node) => {
    const first = node.inputs.some(isInner) ? -1 : node.inputs.findIndex((name) => !values.isFixed(name));
    const inputs = node.inputs.map((name, i) => (isInner(name) ? copiedName(name, kind, gradient) : i === first ? gated(name) : name));
    return { ...node, inputs, outputs: node.outputs.map((name) => copiedName(name, kind, gradient)) };
  });
  return [...[...gates.values()].flat(), ...copies];
}
