/** The memory of a training, part by part. */
import type { Cost } from "../../engine/cost.ts";
import { BAKED_BYTES } from "../../engine/frozen.ts";
import type { VariableSet } from "../../engine/variables.ts";
import { countWeights, type Weights } from "../../engine/weights.ts";

/** Bytes. */
export interface Memory {
  /** Frozen networks, and what is trained as it is. */
  weights: number;
  /** Factors of a LoRA. */
  lora: number;
  moments: number;
  /** Averages of what is trained: what is written in the end, and targets that losses read. */
  averages: number;
  gradients: number;
  /** What programs compute on the way, beside gradients. */
  activations: number;
  /** The program itself, its libraries and the workers that draw pictures. */
  rest: number;
}

/** Bytes of all parts together. */
export const totalOf = (memory: Memory): number => Object.values(memory).reduce((sum: number, bytes: number) => sum + bytes, 0);

const FLOAT = 4;

/** A variable has two buffers, one that a program reads and one that it writes (engine/variables.ts). */
const BUFFERS = 2;

/** Frozen weights lie in the control thread and in the trainer's; small ones in the trainer's programs too, as they came and packed. */
const COPIES = { large: 2, small: 4 };

/** Room for each computed byte that is there at one time: ONNX Runtime's arena (engine/footprint.ts). */
const ROOM = 2;

const REST = 600e6;

/**
 * The memory of a trainer with these sets of variables, frozen networks and programs; or of so many, which have all but the control
 * thread's copies each, and one sum of gradients between them.
 */
export function memoryOf(options: {
  sets: readonly VariableSet[];
  frozen: readonly Weights[];
  costs: readonly Cost[];
  workers?: number;
}): Memory {
  const { sets, frozen, costs, workers = 1 } = options;
  const memory: Memory = { weights: 0, lora: 0, moments: 0, averages: 0, gradients: 0, activations: 0, rest: REST };
  for (const weights of new Set(frozen)) {
    const bytes = FLOAT * countWeights(weights);
    const copies = bytes < BAKED_BYTES ? COPIES.small : COPIES.large;
    memory.weights += bytes * (1 + workers * (copies - 1));
  }
  let gradients = 0;
  for (const { name, variables } of sets) {
    const bytes = FLOAT * countWeights(variables);
    memory[partOf(name, variables)] += workers * BUFFERS * bytes;
    if (name.endsWith(".network")) gradients = Math.max(gradients, bytes);
  }
  const computed = workers * ROOM * costs.reduce((sum, { peak }) => sum + peak, 0);
  const apart = Math.min(workers * gradients, computed);
  memory.gradients += apart + (workers > 1 ? gradients : 0);
  memory.activations += computed - apart;
  return memory;
}

/** Which part a set of variables belongs to, by the name that models/training gives it. */
function partOf(name: string, variables: VariableSet["variables"]): keyof Memory {
  if (/\.(first|second)$/.test(name)) return "moments";
  if (/\.(average|target)$/.test(name)) return "averages";
  if (name.endsWith(".gradients")) return "gradients";
  if (!name.endsWith(".network")) return "activations"; // what programs leave for each other
  return Object.keys(variables).some((key) => key.endsWith(".lora.down")) ? "lora" : "weights";
}
