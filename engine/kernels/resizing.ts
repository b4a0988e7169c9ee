/** Resizing of images [b, h, w, c]: products with interpolation matrices, or lookups of rows and columns. */
import { type Attributes, translate } from "../backend.ts";
import type { Graph, Value } from "../graph.ts";
import { interpolation, nearest } from "../interpolation.ts";
import { reshape } from "./shape.ts";

/** The two axes of `images`, with their old and new length. */
const axes = ({ shape }: Value, { size }: Attributes) => [
  { axis: 1, from: shape[1] as number, to: size[0] as number },
  { axis: 2, from: shape[2] as number, to: size[1] as number },
];

translate("ResizeBilinear", ({ images }, attributes, graph) =>
  axes(images as Value, attributes).reduce((image, { axis, from, to }) => {
    const rows = interpolation({ from, to, ...attributes });
    return along(graph, image, axis, { shape: [to, from], dtype: "float32", constant: rows });
  }, images as Value),
);

translate("ResizeNearestNeighbor", ({ images }, attributes, graph) =>
  axes(images as Value, attributes).reduce((image, { axis, from, to }) => {
    const places = nearest({ from, to, ...attributes });
    const shape = image.shape.map((n, i) => (i === axis ? to : n));
    return graph.add("Gather", [image, graph.indices([to], places)], shape, image.dtype, { axis });
  }, images as Value),
);

/** The product of a matrix [to, from] with the axis 1 or 2 of an image. */
function along(graph: Graph, image: Value, axis: number, matrix: Value): Value {
  const [b, h, w, c] = image.shape as [number, number, number, number];
  const to = matrix.shape[0] as number;
  const [batch, columns, shape] = axis === 1 ? [b, w * c, [b, to, w, c]] : [b * h, c, [b, h, to, c]];
  const flat = reshape(graph, image, [batch, image.shape[axis] as number, columns]);
  return reshape(graph, graph.add("MatMul", [matrix, flat], [batch, to, columns], "float32"), shape);
}
