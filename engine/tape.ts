/**
 * Two repairs of TensorFlow.js's tape, and marks of what it does.
 *
 * Second derivatives are silently wrong for every operation whose gradient uses its saved output: tanh, exp, softmax,
 * tf.logSoftmax and others (tfjs #3252, open since 2020). An output is saved as a copy, and the copy is recorded before
 * the operation that made the original. Backward the operation then comes before its copy, and what flows through the
 * copy is lost. Here an operation is recorded before any reader of its outputs.
 *
 * And a gradient function may itself take a gradient: TensorFlow.js would lose the outer tape.
 *
 * What a backward pass computes is marked as such (marks.ts).
 */
import { asGradient } from "./marks.ts";
import { tf } from "./tfjs.ts";

interface TapeNode {
  inputs: Record<string, { id: number }>;
  outputs: { id: number }[];
}

interface Recorder {
  addTapeNode: (...parts: unknown[]) => void;
  gradients: (...parts: unknown[]) => unknown;
  tidy: (...parts: unknown[]) => unknown;
  state: { activeTape: TapeNode[] | null; gradientDepth: number };
}

const engine = tf.engine() as unknown as Recorder;
const { addTapeNode, gradients, tidy } = engine;

engine.addTapeNode = (...parts) => {
  addTapeNode.apply(engine, parts);
  const tape = engine.state.activeTape as TapeNode[];
  const node = tape.pop() as TapeNode;
  const made = new Set(node.outputs.map(({ id }) => id));
  let place = tape.length;
  while (place > 0 && Object.values((tape[place - 1] as TapeNode).inputs).some(({ id }) => made.has(id))) place--;
  tape.splice(place, 0, node);
};

engine.gradients = (...parts) => {
  const { state } = engine;
  const outer = state.gradientDepth === 0 ? state.activeTape : undefined;
  try {
    return gradients.apply(engine, parts);
  } finally {
    if (outer !== undefined) state.activeTape = outer;
  }
};

/** TensorFlow.js's own name of the scope in which it goes back along the tape. */
const BACKWARD = "backward";

engine.tidy = (...parts) => {
  const run = (): unknown => tidy.apply(engine, parts);
  return parts[0] === BACKWARD ? asGradient(run) : run();
};
