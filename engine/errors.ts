/** What an error of a trace says: the operation, the line of the user's function, what to do. */
import { relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

export interface Place {
  /** The outermost TensorFlow.js operation under way, such as "tf.einsum". */
  operation: string;
  /** File and line of the caller's code, such as "models/families/dit.ts:41". */
  line: string;
  /** Whether it happened while a gradient was taken, on the line that took it. */
  backward: boolean;
}

const ENGINE = fileURLToPath(new URL(".", import.meta.url));
const FRAME = /^\s*at (?:(.+?) \()?(?:file:\/\/)?(.+?):(\d+):\d+\)?$/;

/** Frames of TensorFlow.js, also under the paths that its source maps give them. */
const isLibrary = (file: string): boolean => /[\\/]node_modules[\\/]|[\\/]tfjs-[\w-]+[\\/]src[\\/]/.test(file);
const isEngine = (file: string): boolean => file.startsWith(ENGINE) && !file.startsWith(`${ENGINE}examples${sep}`);

/** Where in the caller's code an error arose, by its stack. */
export function placeOf(stack: string): Place {
  let operation = "an operation";
  let backward = false;
  for (const text of stack.split("\n")) {
    const [, named = "", file = "", line = ""] = FRAME.exec(text) ?? [];
    const name = named.replace(/ \[as \w+\]$/, ""); // by newer versions of Node, where a method is called by another name than its own
    if (!file || file.startsWith("node:")) continue;
    if (isEngine(file)) continue;
    if (!isLibrary(file)) return { operation, line: `${shown(file)}:${line}`, backward };
    backward ||= name.includes("backpropagateGradients");
    const [, op] = /(\w+?)(?:__op|(?<=Async)_)$/.exec(name) ?? [];
    const [, method] = /^Tensor\.(?!<)(?:\w+\.)*(\w+)$/.exec(name) ?? [];
    if (op || name === "Object.tensor") operation = `tf.${op ?? "tensor"}`;
    else if (method) operation = `tensor.${method}()`;
  }
  return { operation, line: "an unknown line", backward };
}

/** A file below the working folder by its path from there. */
function shown(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith("..") ? file : path;
}

/** The error for what a trace cannot record: "Cannot compile program P: OPERATION at LINE PROBLEM; REMEDY." */
export function refusal(what: { program: string; stack: string; problem: string; remedy: string; cause?: unknown }): Error {
  const { operation, line, backward } = placeOf(what.stack);
  const where = backward ? `${operation} in the gradient taken at ${line}` : `${operation} at ${line}`;
  return new Error(`Cannot compile program "${what.program}": ${where} ${what.problem}; ${what.remedy}.`, { cause: what.cause });
}

const COMPLEX = {
  problem: "needs complex64, which has no form in a compiled program",
  remedy: "write it in real numbers, a Fourier transform as products with matrices of cosines and sines",
};
const STRING = {
  problem: "needs strings, which have no form in a compiled program",
  remedy: "turn them into numbers before the run and pass those as an input",
};
const SHAPE = {
  problem: "has a result whose shape depends on the data, and a program's shapes are fixed",
  remedy: "keep every element and mask with tf.where, or do it outside of the program",
};

const REASONS: [RegExp, typeof COMPLEX][] = [
  [/^(Complex|ComplexAbs|Real|Imag|FFT|IFFT)$/, COMPLEX],
  [/^String|^StaticRegex/, STRING],
  [/^(Unique|NonMaxSuppression|Sparse|Ragged)/, SHAPE],
];

/** Why the kernel has no translation, and what to do instead. */
export function reasonOf(kernel: string): { problem: string; remedy: string } {
  const [, known] = REASONS.find(([names]) => names.test(kernel)) ?? [];
  return known
    ? { ...known, problem: `${known.problem} (kernel "${kernel}")` }
    : { problem: `has no translation (kernel "${kernel}")`, remedy: "write it with other operations, or translate it in engine/kernels" };
}

export const WRITTEN = { string: STRING, complex64: COMPLEX };

/** Why elements cannot be read while recording. */
export function readingOf(operation: string): { problem: string; remedy: string } {
  return operation.endsWith("Async")
    ? SHAPE
    : {
        problem: "reads elements, which do not exist while the program is recorded",
        remedy: "return the tensor as an output, or express the decision with tf.where",
      };
}
