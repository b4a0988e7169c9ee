/**
 * Initial weights. Every tensor draws from its own Philox stream, named after itself, so that adding a layer to a
 * network changes no other layer's start. It is drawn when its data is first read: who asks for names and shapes alone
 * (what a file of such weights must hold) waits for no draws and takes no memory.
 */
import { normals } from "../schemas/numbers/philox.ts";
import { elements, madeWhenRead, type Weights } from "../engine/weights.ts";

export interface Initialiser {
  weights: Weights;
  /** N(0, std^2) values under `name`. */
  normal: (name: string, shape: number[], std: number) => void;
  /** A constant tensor under `name`. */
  constant: (name: string, shape: number[], value?: number) => void;
  /** Sines and cosines of row and column, [height * width, channels], std 0.7: positions that attention can tell apart. */
  positions: (name: string, shape: { height: number; width: number; channels: number }) => void;
  /** `name.kernel` [inputs, outputs] with std gain / sqrt(inputs) and a zero `name.bias`; gain 0 starts it silent. */
  linear: (name: string, inputs: number, outputs: number, options?: { gain?: number; bias?: boolean }) => void;
  /** `name.kernel` [side, side, inputs, outputs] with std gain / sqrt(fan-in) and a zero `name.bias`. */
  conv: (name: string, side: number, inputs: number, outputs: number, options?: { gain?: number; bias?: boolean }) => void;
  /** `name.scale` of ones and `name.bias` of zeros, [channels]. */
  norm: (name: string, channels: number) => void;
}

/** A collector of initial weights whose draws depend on `seed` and each tensor's name alone. */
export function createInitialiser(seed: number): Initialiser {
  const weights: Weights = {};
  const normal: Initialiser["normal"] = (name, shape, std) => {
    weights[name] = madeWhenRead(shape, (length) => {
      const data = std === 0 ? new Float32Array(length) : normals({ seed, stream: `initialise/${name}`, length });
      for (let i = 0; i < length; i++) data[i] = (data[i] as number) * std;
      return data;
    });
  };
  const constant: Initialiser["constant"] = (name, shape, value = 0) => {
    weights[name] = madeWhenRead(shape, (length) => new Float32Array(length).fill(value));
  };
  const positions: Initialiser["positions"] = (name, { height, width, channels }) => {
    weights[name] = madeWhenRead([height * width, channels], (length) => waves(length, width, channels));
  };
  const affine = (name: string, shape: number[], gain: number, bias: boolean): void => {
    const outputs = shape.at(-1) as number;
    normal(`${name}.kernel`, shape, gain / Math.sqrt(elements(shape) / outputs));
    if (bias) constant(`${name}.bias`, [outputs]);
  };
  return {
    weights,
    normal,
    constant,
    positions,
    linear: (name, inputs, outputs, options = {}) => affine(name, [inputs, outputs], options.gain ?? 1, options.bias ?? true),
    conv: (name, side, inputs, outputs, options = {}) =>
      affine(name, [side, side, inputs, outputs], options.gain ?? 1, options.bias ?? true),
    norm: (name, channels) => {
      constant(`${name}.scale`, [channels], 1);
      constant(`${name}.bias`, [channels], 0);
    },
  };
}

/** Sines and cosines for tokens in rows of `width`, `length / channels` of them. */
function waves(length: number, width: number, channels: number): Float32Array {
  const data = new Float32Array(length);
  const quarter = Math.ceil(channels / 4);
  for (let at = 0; at < length; at++) {
    const channel = at % channels;
    const token = Math.floor(at / channels);
    const place = channel < 2 * quarter ? Math.floor(token / width) : token % width;
    const frequency = 100 ** (-(channel % quarter) / quarter); // the longest wave spans a grid of a hundred
    data[at] = Math.floor(channel / quarter) % 2 === 0 ? Math.sin(place * frequency) : Math.cos(place * frequency);
  }
  return data;
}
