/** The tensors of files as a model names them: files below one folder, and elements of other types cast to float32. */
import { dirname, isAbsolute, relative, sep } from "node:path";
import type { MappedDtype } from "./frozen.ts";
import type { Node } from "./graph.ts";
import type { Mapped } from "./onnx.ts";
import type { FileTensor } from "./weights.ts";

const DTYPE = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;
const FLOAT = 1; // TensorProto.DataType

/**
 * For the tensors behind the ports of a program: initialisers in files, the nodes that give the ports their elements as
 * float32, and the folder below which all files lie. Throws an Error where no folder holds them all.
 */
export function mappedTensors(
  program: string,
  ports: readonly { port: string; tensor: FileTensor & { dtype: MappedDtype } }[],
): { mapped: Mapped[]; widening: Node[]; folder?: string } {
  if (ports.length === 0) return { mapped: [], widening: [] };
  const folder = commonFolder(program, [...new Set(ports.map(({ tensor }) => tensor.file))]);
  const widening: Node[] = [];
  const mapped = ports.map(({ port, tensor: { shape, dtype, file, offset, byteLength } }): Mapped => {
    const location = relative(folder, file).split(sep).join("/");
    const name = dtype === "F32" ? port : `${port}/stored`;
    if (name !== port) widening.push({ op: "Cast", inputs: [name], outputs: [port], attributes: { to: FLOAT } });
    return { name, shape, dtype: DTYPE[dtype], location, offset, byteLength };
  });
  return { mapped, widening, folder };
}

/** The innermost folder that holds all files. */
function commonFolder(program: string, files: readonly string[]): string {
  let folder = dirname(files[0] as string);
  const holds = (file: string): boolean => relative(folder, file).split(sep)[0] !== ".." && !isAbsolute(relative(folder, file));
  while (!files.every(holds)) {
    const above = dirname(folder);
    if (above !== folder) folder = above;
    else
      throw new Error(
        `Cannot compile program "${program}": no folder holds both ${files[0]} and ${files.find((file) => !holds(file))}. ` +
          "Put the weights on one drive.",
      );
  }
  return folder;
}
