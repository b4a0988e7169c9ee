/** Sizes of pictures that a published teacher is asked for, and what of its specification follows from them. */
import type { PublishedDenoiser } from "../../models/published/network.ts";
import { badUsage } from "../../schemas/failure.ts";
import { type ImageSize, sidesOf, sizeInWords } from "../../schemas/images.ts";
import type { DenoiserSpec } from "../../schemas/model.ts";

/** What `--size WIDTHxHEIGHT` asks for; one number is a square's side. Throws a usage failure for anything else. */
export function requestedSize(text: string | undefined): ImageSize | undefined {
  if (text === undefined) return undefined;
  const [, width, height = width] = /^([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?$/.exec(text) ?? [];
  if (width !== undefined) return width === height ? Number(width) : [Number(height), Number(width)];
  throw badUsage(`Cannot read the size "${text}" (--size): expected width and height in pixels, as in 768x512`);
}

/**
 * [height, width] of the latents of pictures of this size, each of `factor` pixels a side. Throws a usage failure where the family takes
 * no other size than it was trained on, or not this one.
 */
export function latentsOfSize(options: { folder: string; size: ImageSize; denoiser: PublishedDenoiser; factor: number }): [number, number] {
  const { folder, size, denoiser, factor } = options;
  const { shape, sizes } = denoiser;
  const pixels = sidesOf(size);
  const sides = pixels.map((side) => side / factor) as [number, number];
  if (String(sides) === String(shape.slice(0, 2))) return sides;
  const refused = (why: string) => badUsage(`Cannot take ${folder} at ${sizeInWords(size)} (--size): ${why}`);
  if ("why" in sizes) throw refused(`${sizes.why}; leave --size out, which is ${sizeInWords(trained(shape, factor))}`);
  const unit = sizes.multiple * factor;
  const most = (sizes.most ?? Number.POSITIVE_INFINITY) * factor;
  if (pixels.some((side) => side > most)) throw refused(`it has positions for ${most} pixels a side and no more`);
  if (pixels.every((side) => side % unit === 0)) return sides;
  const near = pixels.map((side) => Math.min(Math.max(1, Math.round(side / unit)) * unit, Math.floor(most / unit) * unit));
  throw refused(`both sides must be multiples of ${unit} pixels; ${(near as number[]).toReversed().join("x")} is the nearest such size`);
}

const trained = ([height, width]: PublishedDenoiser["shape"], factor: number): ImageSize =>
  height === width ? height * factor : [height * factor, width * factor];

/** The specification for latents of these sides: a network that reads texts may be told the picture's size, which grows with them. */
export function withLatents(spec: DenoiserSpec, [height, width]: readonly [number, number]): DenoiserSpec {
  const { network, shape } = spec;
  const { pixels } = network;
  const factor = pixels ? pixels[0] / shape[0] : 1;
  return {
    ...spec,
    shape: [height, width, shape[2]],
    network: { ...network, ...(pixels && { pixels: [height * factor, width * factor] as [number, number] }) },
  };
}
