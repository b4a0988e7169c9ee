/** The windows of a convolution or pooling, as ONNX and the gradients need them. */

export interface Windows {
  inHeight: number;
  inWidth: number;
  outHeight: number;
  outWidth: number;
  strideHeight: number;
  strideWidth: number;
  effectiveFilterHeight: number;
  effectiveFilterWidth: number;
  padInfo: { top: number; left: number; bottom: number; right: number };
}

/** Padding before and after [height, width], as far as the last window reaches: rounding up adds to what was asked for. */
export function reach(i: Windows): { top: number; left: number; bottom: number; right: number } {
  const { top, left } = i.padInfo;
  const after = (out: number, stride: number, filter: number, from: number): number => Math.max(0, (out - 1) * stride + filter - from);
  return {
    top,
    left,
    bottom: after(i.outHeight, i.strideHeight, i.effectiveFilterHeight, i.inHeight + top),
    right: after(i.outWidth, i.strideWidth, i.effectiveFilterWidth, i.inWidth + left),
  };
}

/** What a transposed convolution with this stride must add after its own output to fill the image. */
export function beyond(i: Windows): [number, number] {
  const { top, left, bottom, right } = reach(i);
  return [
    i.inHeight - ((i.outHeight - 1) * i.strideHeight + i.effectiveFilterHeight - top - bottom),
    i.inWidth - ((i.outWidth - 1) * i.strideWidth + i.effectiveFilterWidth - left - right),
  ];
}
