/**
 * Marks in a trace: where its blocks end, which of its nodes are a piece of a block, and which ones a gradient made. Gradient
 * checkpointing goes by them (checkpointing.ts); without it they mean nothing, and outside of a trace nothing is marked.
 */
import type { Node } from "./graph.ts";

/** Nodes by their numbers, in the order in which they were recorded: from the first up to, and without, the second. */
type Range = [from: number, to: number];

export interface Marks {
  /** Each the number of nodes before the end of a block. */
  ends: number[];
  pieces: Range[];
  /** One for each backward pass that is in no other one. */
  gradients: Range[];
}

let current: { nodes: readonly Node[]; marks: Marks; depth: number } | undefined;

/** Runs the body of a trace that adds to `nodes`, and answers what is marked in it. */
export function marking<T>(nodes: readonly Node[], body: () => T): { result: T; marks: Marks } {
  const marks: Marks = { ends: [], pieces: [], gradients: [] };
  current = { nodes, marks, depth: 0 };
  try {
    return { result: body(), marks };
  } finally {
    current = undefined;
  }
}

/**
 * Ends a block: what has been computed since the last end may be computed again in the backward pass instead of being kept.
 *
 * @example
 * import { endBlock } from "onestep/engine";
 * endBlock(); // outside of a trace nothing is marked
 */
export function endBlock(): void {
  if (current && current.depth === 0) current.marks.ends.push(current.nodes.length);
}

/**
 * Makes what `compute` computes a piece of its block: even while the block's own values are there again for the backward pass,
 * those of a piece are only as long as its own part takes.
 *
 * @example
 * import { asPiece } from "onestep/engine";
 * assert.equal(asPiece(() => 6 * 7), 42);
 */
export function asPiece<T>(compute: () => T): T {
  return ranged(compute, (marks) => marks.pieces);
}

/** Marks what `compute` computes as a backward pass. */
export function asGradient<T>(compute: () => T): T {
  return ranged(compute, (marks) => marks.gradients);
}

/** The range of nodes that `compute` adds goes into a list, unless it is within such a range or a gradient. */
function ranged<T>(compute: () => T, listOf: (marks: Marks) => Range[]): T {
  if (!current || current.depth > 0) return compute();
  const { nodes, marks } = current;
  const from = nodes.length;
  current.depth++;
  try {
    return compute();
  } finally {
    if (current) current.depth--;
    listOf(marks).push([from, nodes.length]);
  }
}
