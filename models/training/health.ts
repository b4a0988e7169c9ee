/**
 * Figures that are not finite, counted on the device: where reading figures is waiting for a GPU, a training reads them at some steps
 * alone, and this count then tells of all steps before.
 */
import type { Engine } from "../../engine/engine.ts";
import type { Tensors } from "../../engine/program.ts";
import { tf, type Tensor } from "../../engine/tfjs.ts";
import type { VariableSet } from "../../engine/variables.ts";

/** Compared with a number: shaders may take infinity and NaN for absent. */
const LARGEST = 1e38;

/** The count of an engine whose figures are not read at every step; undefined where they are. */
export function createHealth(engine: Engine): VariableSet | undefined {
  return engine.isSeparate ? engine.variables("health", { unsound: { shape: [], data: new Float32Array(1) } }) : undefined;
}

/** The count after these figures, inside a traced program that has it among its sets; nothing elsewhere. */
export function healthAfter({ health }: Record<string, Tensors | undefined>, figures: Tensors): { health?: Tensors } {
  if (!health) return {};
  const unsound = Object.values(figures).map((figure) => tf.sum(tf.where(tf.less(tf.abs(figure), LARGEST), 0, 1)));
  return { health: { unsound: tf.addN([health.unsound as Tensor, ...unsound]) } };
}

/** Whether all figures so far were finite. */
export const isSound = async (health: VariableSet | undefined): Promise<boolean> => !health || (await health.read()).unsound?.data[0] === 0;
