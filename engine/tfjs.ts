/**
 * The one place TensorFlow.js is loaded. Its main entry is the only build of 4.22 that loads under Node's ES modules
 * with all gradients registered; the advice it prints about tfjs-node does not apply here, so `IS_TEST` silences it.
 */
import * as tf from "@tensorflow/tfjs";

export { tf };
export type { Tensor, Tensor4D } from "@tensorflow/tfjs";
