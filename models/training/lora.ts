/**
 * Low-rank additions to a network's kernels (LoRA, Hu et al. 2021) as weights of their own: `NAME.lora.down` [..., in, rank] and
 * `NAME.lora.up` [rank, out] stand for alpha / rank * down up, to be added to the kernel NAME [..., in, out].
 */
import { elements, type Shapes, type Weights } from "../../engine/weights.ts";
import { DOWN, UP } from "../layers.ts";

/** The kernels that a LoRA adds to. */
export function adaptedKernels(trained: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(trained).flatMap((name) => (name.endsWith(DOWN) ? [name.slice(0, -DOWN.length)] : []));
}

/** A LoRA and what its products are multiplied by: alpha / rank, times how much of it is wanted. */
export interface ScaledLora {
  trained: Weights;
  scale: number;
}

/**
 * Weights with `scale` times each LoRA's products added. Products and their sum are float64, and the kernel with all of them is
 * rounded to float32 once. Throws an Error where a LoRA is of another network.
 */
export function addLoras(weights: Weights, loras: readonly ScaledLora[]): Weights {
  const full = { ...weights };
  for (const name of new Set(loras.flatMap(({ trained }) => adaptedKernels(trained)))) {
    const kernel = weights[name];
    if (!kernel) throw new Error(`Cannot merge a LoRA: it changes "${name}", which these weights lack`);
    const added = new Float64Array(kernel.data.length);
    for (const { trained, scale } of loras) if (trained[name + DOWN]) addProduct(added, { trained, name, scale });
    full[name] = { shape: [...kernel.shape], data: kernel.data.map((value, at) => value + (added[at] as number)) };
  }
  return full;
}

function addProduct(sums: Float64Array, { trained, name, scale }: ScaledLora & { name: string }): void {
  const [down, up] = [trained[name + DOWN], trained[name + UP]];
  if (!down || !up) throw new Error(`Cannot merge a LoRA: of "${name}" it has one factor alone`);
  const [rank, outputs] = up.shape as [number, number];
  for (let at = 0; at < sums.length; at++) {
    const [row, column] = [Math.floor(at / outputs), at % outputs];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += (down.data[row * rank + k] as number) * (up.data[k * outputs + column] as number);
    sums[at] = (sums[at] as number) + scale * sum;
  }
}

/** In words, each tensor of a LoRA that is no factor of an addition of this rank to a kernel of these weights. */
export function loraProblems(weights: Shapes, trained: Shapes, rank: number): string[] {
  return Object.entries(trained).flatMap(([name, { shape }]) => {
    const [ending, other] = name.endsWith(DOWN) ? [DOWN, UP] : [UP, DOWN];
    const kernel = name.slice(0, -ending.length);
    if (!name.endsWith(ending)) return [`"${name}" is no factor of a LoRA`];
    if (!Object.hasOwn(trained, kernel + other)) return [`"${kernel + other}" is missing`];
    const whole = Object.hasOwn(weights, kernel) ? weights[kernel]?.shape : undefined;
    if (!whole) return [`"${kernel}" is no kernel of the base`];
    const expected = ending === DOWN ? [...whole.slice(0, -1), rank] : [rank, whole.at(-1) as number];
    const isRight = shape.join() === expected.join() && elements(shape) > 0;
    return isRight ? [] : [`"${name}" is [${shape.join(", ")}] instead of [${expected.join(", ")}]`];
  });
}
