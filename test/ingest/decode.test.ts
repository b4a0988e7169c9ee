/** Decoding, against pictures whose samples are written by our own PNG encoder or known in closed form. */
import { sharp } from "../../schemas/sharp.ts";
import type { ImageFile, ImageSample, Rejected } from "../../schemas/images.ts";
import { drain, pull } from "../../stages/flow/mod.ts";
import { decode, decodeImage } from "../../stages/ingest/mod.ts";
import { encodePng, picture } from "../fixtures/png.ts";
import { assert, suite } from "../harness.ts";

const test = suite("decode");
const options = { size: 8, background: "#ff8000", maxPixels: 1e6 };
const noise = (length: number, below = 256) => Array.from({ length }, (_, i) => (i * 2654435761) % below);
const pixel = (pixels: Uint8Array, x: number, y: number, size = 8) => [...pixels.subarray(3 * (y * size + x), 3 * (y * size + x) + 3)];
const near = (actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number) => {
  assert.is(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) assert.close(actual[i] as number, expected[i] as number, tolerance);
};

test("an image of the right size keeps its pixels", async () => {
  const samples = noise(8 * 8 * 3);
  assert.equal([...(await decodeImage(encodePng({ width: 8, height: 8, samples }), options))], samples);
});

test("grey and 16-bit samples become 8-bit RGB", async () => {
  const grey = noise(64);
  const expected = grey.flatMap((v) => [v, v, v]);
  assert.equal([...(await decodeImage(encodePng({ width: 8, height: 8, colour: "grey", samples: grey }), options))], expected);
  const deep = noise(64, 65536);
  near(
    await decodeImage(encodePng({ width: 8, height: 8, colour: "grey", depth: 16, samples: deep }), options),
    deep.flatMap((v) => [v / 257, v / 257, v / 257]),
    1,
  );
  const rgb = noise(192, 65536);
  near(
    await decodeImage(encodePng({ width: 8, height: 8, depth: 16, samples: rgb }), options),
    rgb.map((v) => v / 257),
    1,
  );
});

test("transparency is flattened onto the background", async () => {
  const samples = noise(8 * 8 * 4);
  const expected = Array.from({ length: 192 }, (_, i) => {
    const at = 4 * Math.floor(i / 3);
    const alpha = (samples[at + 3] as number) / 255;
    return alpha * (samples[at + (i % 3)] as number) + (1 - alpha) * ([255, 128, 0][i % 3] as number);
  });
  near(await decodeImage(encodePng({ width: 8, height: 8, colour: "rgba", samples }), options), expected, 1);
});

test("the centre square is cut out", async () => {
  const wide = Array.from({ length: 8 * 24 * 3 }, (_, i) => Math.floor(i / 3) % 24);
  const pixels = await decodeImage(encodePng({ width: 24, height: 8, samples: wide }), options);
  assert.equal(pixel(pixels, 0, 3), [8, 8, 8]);
  assert.equal(pixel(pixels, 7, 3), [15, 15, 15]);
  const tall = Array.from({ length: 24 * 8 * 3 }, (_, i) => Math.floor(i / 24));
  assert.equal(pixel(await decodeImage(encodePng({ width: 8, height: 24, samples: tall }), options), 3, 0), [8, 8, 8]);
});

test("resizing keeps constants, means and ramps", async () => {
  const flat = await decodeImage(encodePng({ width: 40, height: 40, samples: new Array(4800).fill(77) }), options);
  assert.ok(flat.every((v) => v === 77));
  // Lanczos is symmetric, so away from the edges a ramp of slope 1 shrunk four times has slope 4 and the same centre.
  const ramp = Array.from({ length: 32 * 32 * 3 }, (_, i) => 4 * (Math.floor(i / 3) % 32));
  const small = await decodeImage(encodePng({ width: 32, height: 32, samples: ramp }), options);
  for (const x of [2, 3, 4, 5])
    near(
      pixel(small, x, 4),
      [1, 1, 1].map(() => 4 * (4 * x + 1.5)),
      1.5,
    );
  const board = Array.from({ length: 32 * 32 * 3 }, (_, i) => ((Math.floor(i / 3) + Math.floor(i / 96)) % 2) * 254);
  const mean = (await decodeImage(encodePng({ width: 32, height: 32, samples: board }), options)).reduce((s, v) => s + v) / 192;
  assert.close(mean, 127, 2); // in the stored values, not in linear light (187)
});

test("a tiny image is enlarged", async () => {
  const one = await decodeImage(encodePng({ width: 1, height: 1, samples: [10, 20, 30] }), options);
  assert.equal(pixel(one, 0, 0), [10, 20, 30]);
  assert.equal(pixel(one, 7, 7), [10, 20, 30]);
});

test("EXIF orientation, CMYK and the other formats", async () => {
  // Left half red, right half blue; orientation 6 turns it clockwise: red on top.
  const samples = Array.from({ length: 64 * 64 }, (_, i) => (i % 64 < 32 ? [255, 0, 0] : [0, 0, 255])).flat();
  const image = () => sharp(encodePng({ width: 64, height: 64, samples }));
  const turned = await decodeImage(await image().withMetadata({ orientation: 6 }).jpeg({ chromaSubsampling: "4:4:4" }).toBuffer(), options);
  near(pixel(turned, 2, 1), [254, 0, 0], 4);
  near(pixel(turned, 2, 6), [0, 0, 254], 4);
  for (const file of [image().webp({ lossless: true }), image().gif(), image().tiff(), image().jpeg({ progressive: true })]) {
    const pixels = await decodeImage(await file.toBuffer(), options);
    near(pixel(pixels, 1, 4), [254, 0, 0], 6);
    near(pixel(pixels, 6, 4), [0, 0, 254], 6);
  }
  const cmyk = await decodeImage(await image().toColourspace("cmyk").jpeg().toBuffer(), options);
  const [red = 0, , blue = 255] = pixel(cmyk, 1, 4);
  assert.ok(red > 180 && blue < 90, `red came back as ${pixel(cmyk, 1, 4)}`);
});

test("of an animation the first frame", async () => {
  const frames = Buffer.concat([new Uint8Array(192).fill(200), new Uint8Array(192).fill(20)]);
  const gif = await sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } })
    .gif({ loop: 0 })
    .toBuffer();
  near(pixel(await decodeImage(gif, options), 4, 4), [200, 200, 200], 4);
});

test("what is no image is named", async () => {
  const reason = (bytes: Uint8Array, limits = {}) =>
    decodeImage(bytes, { ...options, ...limits }).then(
      () => "",
      (error: Error) => error.message,
    );
  const cases: [string | Uint8Array, RegExp][] = [
    ["", /^an empty file/],
    ["hello", /^not an image/],
    ['<?xml version="1.0"?><svg/>', /SVG or HTML/],
    ["<svg xmlns='http://www.w3.org/2000/svg'/>", /SVG or HTML/],
    ["BM\x9a\0\0\0\0\0\0\0", /a BMP image/],
    ["\0\0\0\x1cftypavif", /AVIF/],
    ["PK\x03\x04", /zip inside/],
    ["\x89PNG\r\n\x1a\n", /^damaged PNG \(/],
    ["\xff\xd8\xff\xe0", /^damaged JPEG \(/],
    ["GIF89a", /^damaged GIF \(/],
    ["RIFF\x10\0\0\0WEBPVP8 ", /^damaged WebP \(/],
    ["II*\0\x08\0\0\0", /^damaged TIFF \(/],
    [picture(1).subarray(0, 90), /^damaged PNG/],
  ];
  for (const [bytes, expected] of cases)
    assert.match(await reason(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes), expected);
  const jpeg = await sharp(picture(1, 64)).jpeg().toBuffer();
  assert.match(await reason(jpeg, { maxPixels: 4095 }), /^JPEG of more than 4095 pixels/);
  assert.is(await reason(jpeg, { maxPixels: 4096 }), "");
  assert.match(await reason(jpeg.subarray(0, jpeg.length / 2)), /^damaged JPEG/);
});

test("the stage keeps the order and passes both kinds on", async () => {
  const items: (ImageFile | Rejected)[] = Array.from({ length: 30 }, (_, index) => {
    const place = { index, source: "s" };
    if (index % 7 === 3) return { kind: "rejected", ...place, entry: "e", reason: "earlier" };
    const bytes = index % 5 === 4 ? Buffer.from("no") : picture(index, 8 + (index % 3) * 20);
    return { kind: "file", ...place, name: "a\nb", bytes, label: 0, caption: "words" };
  });
  const out: (ImageSample | Rejected)[] = [];
  await drain(pull(() => items).pipe(decode(options)), { sink: (sample) => void out.push(sample) });
  assert.equal(
    out.map(({ index }) => index),
    items.map(({ index }) => index),
  );
  for (const sample of out) {
    if (sample.kind === "image") {
      assert.equal([sample.size, sample.pixels.length, sample.label, sample.caption, sample.name], [8, 192, 0, "words", "a\nb"]);
    } else if (sample.index % 7 === 3) assert.is(sample.reason, "earlier");
    else assert.equal([sample.entry, sample.reason], ["a\\u{a}b", "not an image"]);
  }
  assert.is(out.filter(({ kind }) => kind === "rejected").length, 4 + 5);
});

test.run();
