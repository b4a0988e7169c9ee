/** Values of pixels: profiles, depths, alphas and sample formats, against values that the fixtures compute; filters, against sums. */
import { integers } from "../../schemas/numbers/philox.ts";
import { sharp } from "../../schemas/sharp.ts";
import { decodeImage } from "../../stages/ingest/mod.ts";
import { encodePng, pngChunk } from "../fixtures/png.ts";
import { assembled, gamma, greyProfile, linear, type Profile, profileChunk, rgbProfile, srgbCurve, table } from "../fixtures/profile.ts";
import { encodeTiff, type TiffPage } from "../fixtures/tiff.ts";
import { assert, suite } from "../harness.ts";

const test = suite("pixels");

const SIDE = 64;
const background = [255, 128, 0];
const options = { size: SIDE, background: "#ff8000", maxPixels: 1e6 };

const colours = [
  [220, 40, 30],
  [30, 200, 60],
  [40, 60, 210],
  [240, 230, 220],
];
const greys = colours.map(([, green]) => [green!, green!, green!]);
const alphas = [1, 0.5, 0.25, 1];

/** Samples of four quadrants. */
function quadrants(of: number[][]): number[] {
  return Array.from({ length: SIDE * SIDE }, (_, i) => of[(i % SIDE < SIDE / 2 ? 0 : 1) + (i < (SIDE * SIDE) / 2 ? 0 : 2)]!).flat();
}

/** The colours in the middle of the quadrants of what a file decodes to, whatever the size. */
async function decoded(file: Uint8Array, size = SIDE): Promise<number[]> {
  const pixels = await decodeImage(file, { ...options, size });
  assert.is(pixels.length, size * size * 3);
  const [near, far] = [size / 4, (size * 3) / 4];
  return [
    [near, near],
    [far, near],
    [near, far],
    [far, far],
  ].flatMap(([x, y]) => [...pixels.subarray((y! * size + x!) * 3, (y! * size + x!) * 3 + 3)]);
}

/** What shows of colours under these alphas. */
const shown = (of: number[][], over = [1, 1, 1, 1]): number[] =>
  of.flatMap((colour, q) => colour.map((value, i) => over[q]! * value + (1 - over[q]!) * background[i]!));

/** Stored samples of colours, with alpha where wanted. */
function samplesOf(of: number[][], depth: number, { profile, over }: { profile?: Profile; over?: number[] }): number[] {
  const full = 2 ** depth - 1;
  return quadrants(
    of.map((colour, q) => {
      const unit = colour.map((value) => value / 255);
      return [...(profile ? profile.stored(unit) : unit), ...(over ? [over[q]!] : [])].map((value) => Math.round(full * value));
    }),
  );
}

const profiles: Record<string, Profile> = {
  sRGB: rgbProfile("srgb", srgbCurve),
  "Display P3": rgbProfile("p3", srgbCurve),
  "Adobe RGB": rgbProfile("adobe", gamma(563 / 256)),
  "linear light": rgbProfile("srgb", linear),
  "P3 by tables of one dimension": rgbProfile("p3", table(1.8)),
};
const greyProfiles: Record<string, Profile> = {
  "gamma 2.2": greyProfile(gamma(563 / 256)),
  "gamma 1.75": greyProfile(gamma(1.75)),
  "linear light": greyProfile(linear),
  "sRGB's curve": greyProfile(srgbCurve),
  "a table": greyProfile(table(1.8)),
};

for (const [isGrey, all] of [
  [false, profiles],
  [true, greyProfiles],
] as const) {
  for (const [name, profile] of Object.entries(all)) {
    test(`16-bit ${isGrey ? "grey" : "colours"} with a profile: ${name}`, async () => {
      for (const over of [undefined, alphas]) {
        const samples = samplesOf(isGrey ? greys.map(([v]) => [v!]) : colours, 16, { profile, over });
        const expected = shown(isGrey ? greys : colours, over);
        const colour = `${isGrey ? "grey" : "rgb"}${over ? "a" : ""}` as "grey" | "greya" | "rgb" | "rgba";
        const png = encodePng({ width: SIDE, height: SIDE, depth: 16, colour, samples, chunks: [profileChunk(profile.bytes)] });
        const channels = (isGrey ? 1 : 3) + (over ? 1 : 0);
        const page = { width: SIDE, height: SIDE, bits: 16, photometric: isGrey ? 1 : 2, channels, samples } as const;
        const tiff = encodeTiff([{ ...page, profile: profile.bytes, ...(over && { extra: [2] }) }]);
        for (const [kind, file] of Object.entries({ png, tiff })) {
          for (const size of [SIDE, 16, 96]) assert.close(await decoded(file, size), expected, 1.01, `${kind} ${colour} at ${size}`);
        }
      }
    });
  }
}

test("8-bit colours with a profile too, as far as 8 bits carry", async () => {
  for (const name of ["sRGB", "Display P3", "Adobe RGB"]) {
    const profile = profiles[name]!;
    const samples = samplesOf(colours, 8, { profile });
    const file = encodePng({ width: SIDE, height: SIDE, samples, chunks: [profileChunk(profile.bytes)] });
    assert.close(await decoded(file), shown(colours), 2.01, name);
  }
});

test("a profile of other colours says nothing; one that cannot be read is named", async () => {
  const samples = samplesOf(colours, 16, {});
  const file = (profile: Uint8Array) =>
    encodeTiff([{ width: SIDE, height: SIDE, bits: 16, photometric: 2, channels: 3, samples, profile }]);
  assert.close(await decoded(file(greyProfiles["linear light"]!.bytes)), shown(colours), 1);
  assert.close(await decoded(file(Buffer.from("no profile"))), shown(colours), 1);
  const { bytes } = profiles.sRGB!;
  const cases: [Uint8Array, RegExp][] = [
    [assembled("RGB ", { A2B0: Buffer.alloc(64) }), /profile of a 16-bit image cannot be read \(it is made of tables\)/],
    [assembled("RGB ", {}), /profile of a 16-bit image cannot be read \(no rTRC|no rXYZ/],
    [bytes.subarray(0, bytes.length - 20), /profile of a 16-bit image cannot be read/],
  ];
  for (const [profile, expected] of cases) await assert.rejects(decoded(file(profile)), expected);
});

test("grey with alpha lies on the background's colour, not on its red", async () => {
  const grey = greys.map(([value]) => [value!]);
  for (const depth of [8, 16] as const) {
    const samples = samplesOf(grey, depth, { over: alphas });
    const file = encodePng({ width: SIDE, height: SIDE, depth, colour: "greya", samples });
    for (const size of [SIDE, 32, 96]) assert.close(await decoded(file, size), shown(greys, alphas), 1.01, `${depth} bits at ${size}`);
  }
  // A grey that the file declares transparent (tRNS) is an alpha too.
  const keyed = encodePng({
    width: SIDE,
    height: SIDE,
    colour: "grey",
    samples: quadrants(grey),
    chunks: [pngChunk("tRNS", Buffer.from([0, 200]))],
  });
  assert.close(await decoded(keyed), shown(greys, [1, 0, 1, 1]), 1.01);
  const gif = await sharp(encodePng({ width: SIDE, height: SIDE, colour: "greya", samples: samplesOf(grey, 8, { over: [1, 0, 1, 0] }) }))
    .gif()
    .toBuffer();
  assert.close(await decoded(gif), shown(greys, [1, 0, 1, 0]), 6);
});

const page = (bits: NonNullable<TiffPage["bits"]>, of = colours): TiffPage => ({
  width: SIDE,
  height: SIDE,
  bits,
  photometric: of[0]!.length === 1 ? 1 : 2,
  channels: of[0]!.length,
  samples: samplesOf(of, bits, {}),
});
const grey = greys.map(([value]) => [value!]);

test("TIFF of any arrangement", async () => {
  const dark = { ...page(8), samples: new Array(SIDE * SIDE * 3).fill(0) };
  const cases: Record<string, Buffer> = {
    plain: encodeTiff([page(8)]),
    "16 bits, the other byte order": encodeTiff([page(16)], { big: true }),
    "planes apart": encodeTiff([{ ...page(8), planar: true }]),
    "planes of 16 bits apart": encodeTiff([{ ...page(16), planar: true }]),
    "several pages": encodeTiff([page(8), dark]),
    "a thumbnail before the picture": encodeTiff([{ ...dark, subfile: 1 }, page(8)]),
    "a mask before the picture": encodeTiff([{ ...dark, subfile: 4 }, page(8)]),
  };
  for (const [name, file] of Object.entries(cases)) assert.close(await decoded(file), shown(colours), 1, name);
  for (const bits of [1, 2, 4, 8, 16] as const) {
    const full = 2 ** bits - 1;
    const values = grey.map(([value]) => Math.round((value! / 255) * full));
    const expected = values.flatMap((value) => new Array<number>(3).fill((value / full) * 255));
    const black = { ...page(bits, grey), samples: quadrants(values.map((value) => [value])) };
    const white = { ...black, photometric: 0, samples: quadrants(values.map((value) => [full - value])) };
    assert.close(await decoded(encodeTiff([black])), expected, 1, `${bits} bits`);
    assert.close(await decoded(encodeTiff([white])), expected, 1, `${bits} bits, 0 is white`);
  }
});

test("premultiplied and straight alpha are what a TIFF says", async () => {
  for (const bits of [8, 16] as const) {
    for (const [of, expected] of [
      [colours, colours],
      [grey, greys],
    ] as const) {
      const plain = { ...page(bits, of as number[][]), channels: of[0]!.length + 1 };
      const straight = samplesOf(of as number[][], bits, { over: alphas });
      const premultiplied = straight.map((value, i) => {
        const at = i - (i % plain.channels) + plain.channels - 1;
        return i === at ? value : Math.round((value * straight[at]!) / (2 ** bits - 1));
      });
      for (const [samples, extra] of [
        [straight, 2],
        [premultiplied, 1],
        [straight, 0],
      ] as const) {
        const file = encodeTiff([{ ...plain, samples, extra: [extra] }]);
        assert.close(await decoded(file), shown(expected as number[][], alphas), 2, `${bits} bits, ${of[0]!.length} colours, ${extra}`);
      }
    }
  }
});

test("TIFF whose samples would be taken for others is refused by what they are", async () => {
  const more = (channels: number, extra: number[]): TiffPage => ({
    ...page(8),
    channels,
    extra,
    samples: new Array(SIDE * SIDE * channels).fill(9),
  });
  const cases: [TiffPage, RegExp][] = [
    [{ ...page(32, grey), format: 3, samples: quadrants(grey.map(([v]) => [v! / 255])) }, /32-bit floating-point samples/],
    [{ ...page(32), format: 3 }, /32-bit floating-point samples/],
    [{ ...page(64), format: 3 }, /64-bit floating-point samples/],
    [{ ...page(16), format: 3 }, /16-bit floating-point samples/],
    [{ ...page(16), format: 2 }, /16-bit signed samples/],
    [{ ...page(8), format: 2 }, /8-bit signed samples/],
    [page(32), /32-bit unsigned samples/],
    [{ ...page(64), format: 6 }, /64-bit complex floating-point samples/],
    [{ ...page(8), photometric: 8 }, /CIE L\*a\*b\* colours; save it as RGB/],
    [{ ...page(8), photometric: 6 }, /YCbCr colours that are not JPEG; save it as RGB/],
    [{ ...page(8), photometric: 32803 }, /mosaic of a camera/],
    [{ ...page(8), compression: 50000 }, /compression 50000/],
    [{ ...page(8), subfile: 1 }, /every page of it is a thumbnail or a mask/],
    [more(5, [1, 2]), /RGB with 2 further channels \(premultiplied alpha, straight alpha\); save it with one alpha or none/],
    [more(5, [2, 2]), /\(straight alpha, straight alpha\)/],
    [more(9, [0, 0, 0, 0, 0, 0]), /RGB with 6 further channels \(unspecified, unspecified, unspecified, unspecified \.\.\.\)/],
  ];
  for (const [described, expected] of cases) {
    const error = await assert.rejects(decoded(encodeTiff([described])), expected);
    assert.match(error.message, /^not a supported TIFF: /);
  }
});

/** A picture with detail, [height, width, 3]. */
function noisy(width: number, height: number): Uint8Array {
  const noise = integers({ seed: 5, stream: "picture", length: width * height * 3, below: 60 });
  return Uint8Array.from(noise, (value, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return value + 90 + 80 * Math.sin(x / (3 + (i % 3))) * Math.cos(y / 7);
  });
}

/** The centre square of a picture resized by a kernel, every output pixel summed over all input pixels at half-pixel centres. */
function summed(
  pixels: Uint8Array,
  { width, height, size, kernel }: { width: number; height: number; size: number; kernel: (x: number) => number },
) {
  const side = Math.min(width, height);
  const [left, top] = [(width - side) >> 1, (height - side) >> 1];
  const scale = side / size;
  const weights = Array.from({ length: size }, (_, at) => {
    const all = Array.from({ length: side }, (_, i) => kernel((i + 0.5 - (at + 0.5) * scale) / Math.max(scale, 1)));
    const sum = all.reduce((a, b) => a + b);
    return all.map((weight) => weight / sum);
  });
  return Array.from({ length: size * size * 3 }, (_, at) => {
    const [x, y] = [Math.floor(at / 3) % size, Math.floor(at / 3 / size)];
    let value = 0;
    for (let j = 0; j < side; j++) {
      const row = (top + j) * width + left;
      let sum = 0;
      for (let i = 0; i < side; i++) sum += weights[x]![i]! * pixels[(row + i) * 3 + (at % 3)]!;
      value += weights[y]![j]! * sum;
    }
    return Math.min(Math.max(value, 0), 255);
  });
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos = (x: number): number => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0);
const cubic = (offset: number): number => {
  const x = Math.abs(offset);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
};
const meanDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a, (value, i) => Math.abs(value - b[i]!)).reduce((x, y) => x + y) / a.length;

test("shrinking is Lanczos 3 of the centre square, at half-pixel centres", async () => {
  for (const [width, height, size] of [
    [48, 48, 32],
    [65, 48, 16],
    [40, 61, 13],
  ] as const) {
    const samples = noisy(width, height);
    const pixels = await decodeImage(encodePng({ width, height, samples }), { ...options, size });
    const expected = summed(samples, { width, height, size, kernel: lanczos });
    assert.ok(meanDifference(pixels, expected) < 0.6, `${width}x${height} to ${size}: ${meanDifference(pixels, expected)}`);
  }
  // From a factor of four on squares are averaged first: near, and without any shift.
  const samples = noisy(150, 200);
  const pixels = await decodeImage(encodePng({ width: 150, height: 200, samples }), { ...options, size: 15 });
  assert.ok(meanDifference(pixels, summed(samples, { width: 150, height: 200, size: 15, kernel: lanczos })) < 2);
});

test("enlarging is bicubic at half-pixel centres", async () => {
  for (const [width, height, size] of [
    [8, 8, 16],
    [12, 9, 32],
    [5, 40, 17],
  ] as const) {
    const samples = noisy(width, height);
    for (const file of [
      encodePng({ width, height, samples }),
      await sharp(samples, { raw: { width, height, channels: 3 } })
        .webp({ lossless: true })
        .toBuffer(),
    ]) {
      const pixels = await decodeImage(file, { ...options, size });
      assert.close(pixels, summed(samples, { width, height, size, kernel: cubic }), 0.51, `${width}x${height} to ${size}`);
    }
  }
});

test("one filter whatever the file format: JPEG and WebP are not shrunk while they are loaded", async () => {
  const [width, height] = [300, 200];
  const raw = { raw: { width, height, channels: 3 } } as const;
  const picture = sharp(noisy(width, height), raw);
  const jpeg = await picture.clone().jpeg({ quality: 90 }).toBuffer();
  const asDecoded = new Uint8Array(await sharp(jpeg).raw().toBuffer());
  const same = { ...options, size: 0 };
  for (const size of [10, 16, 24, 50, 99, 150, 199]) {
    const asPng = await decodeImage(encodePng({ width, height, samples: asDecoded }), { ...same, size });
    const webp = await sharp(asDecoded, raw).webp({ lossless: true }).toBuffer();
    const tiff = await sharp(asDecoded, raw).tiff({ compression: "lzw" }).toBuffer();
    for (const [name, file] of Object.entries({ jpeg, webp, tiff })) {
      assert.equal(await decodeImage(file, { ...same, size }), asPng, `${name} at ${size}`);
    }
  }
});

test("a turned photograph is cut and shrunk as it is seen", async () => {
  const [width, height] = [90, 60];
  const samples = noisy(width, height);
  const upright = await decodeImage(encodePng({ width, height, samples }), { ...options, size: 12 });
  for (const [orientation, angle] of [
    [3, 180],
    [6, 270],
    [8, 90],
  ] as const) {
    const turned = sharp(samples, { raw: { width, height, channels: 3 } })
      .rotate(angle)
      .withMetadata({ orientation });
    for (const stored of [turned.clone().webp({ lossless: true }), turned.clone().png()]) {
      assert.close(await decodeImage(await stored.toBuffer(), { ...options, size: 12 }), upright, 1, `orientation ${orientation}`);
    }
  }
});

test.run();
