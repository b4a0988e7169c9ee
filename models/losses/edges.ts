/** Edges of images by Sobel's filters, and how far those of two images lie apart. */
import { type Tensor, tf } from "../../engine/tfjs.ts";
import { luminance } from "./luminance.ts";

/** Across and down, [3, 3, 1, 2]: differences of neighbours two pixels apart, smoothed by 1, 2, 1 the other way. */
const KERNELS = [-1, 0, 1].flatMap((y) => [-1, 0, 1].flatMap((x) => [-x * (2 - Math.abs(y)), -y * (2 - Math.abs(x))]));

/**
 * Sobel's edge maps of the luminance of images [b, h, w, 3]: [b, h - 2, w - 2, 2], horizontal and vertical differences by
 * [[1, 0, -1], [2, 0, -2], [1, 0, -1]] and its transpose. Only places where the filter lies inside the image have one: a
 * border that is padded would be an edge that nobody drew.
 */
export function sobelEdges(images: Tensor): Tensor {
  return tf.conv2d(luminance(images) as never, tf.tensor4d(KERNELS, [3, 3, 1, 2]), 1, "valid");
}
