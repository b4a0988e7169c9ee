import { sharp } from "../../schemas/sharp.ts";
import { integers, normals } from "../../schemas/numbers/philox.ts";
import { planResize } from "../../models/features/resize.ts";
import { assert, suite } from "../harness.ts";

const test = suite("resize");

test("an image of the right size only changes type", () => {
  const pixels = Uint8Array.from(integers({ seed: 1, stream: "pixels", length: 8 * 8 * 3, below: 256 }));
  assert.equal(planResize({ height: 8, width: 8, size: 8 })(pixels), Float32Array.from(pixels));
});

test("halving an impulse gives the cubic's own values at 1/4, 3/4, 5/4 and 7/4", () => {
  // Keys (1981), a = -1/2: 0.8671875, 0.2265625, -0.0703125, -0.0234375, halved by the stretch of 2. A column at x = 16
  // of 32 lies 1/4 (of an output pixel) off the centre of output 8, 3/4 off 7, 5/4 off 9 and 7/4 off 6.
  const pixels = new Uint8Array(32 * 32 * 3).fill(100);
  for (let y = 0; y < 32; y++) pixels[(y * 32 + 16) * 3 + 1] = 200;
  const result = planResize({ height: 32, width: 32, size: 16 })(pixels);
  const green = Array.from({ length: 16 }, (_, x) => result[(5 * 16 + x) * 3 + 1]!);
  const expected = new Array(16).fill(100);
  expected[8] += 100 * (0.8671875 / 2);
  expected[7] += 100 * (0.2265625 / 2);
  expected[9] -= 100 * (0.0703125 / 2);
  expected[6] -= 100 * (0.0234375 / 2);
  assert.close(green, expected, 1e-4);
  assert.close(
    result.filter((_, at) => at % 3 !== 1),
    new Array(16 * 16 * 2).fill(100),
    1e-4,
  );
});

test("a linear ramp stays one away from the edges, rectangles included", () => {
  const [height, width, size] = [24, 40, 30];
  const pixels = Uint8Array.from({ length: height * width * 3 }, (_, at) => 4 * (Math.floor(at / 3) % width) + 10);
  const result = planResize({ height, width, size })(pixels);
  for (let x = 4; x < size - 4; x++) {
    const source = ((x + 0.5) * width) / size - 0.5;
    assert.close(result[(7 * size + x) * 3]!, 4 * source + 10, 0.5); // shrinking by 4/3 shifts the taps' mean a little
  }
});

test("growing reproduces a quadratic surface, as the cubic's third order promises", () => {
  const pixels = Uint8Array.from({ length: 28 * 28 * 3 }, (_, at) => {
    const [x, y] = [Math.floor(at / 3) % 28, Math.floor(at / (3 * 28))];
    return 20 + x * (27 - x) + y;
  });
  const result = planResize({ height: 28, width: 28, size: 32 })(pixels);
  for (let y = 3; y < 29; y++) {
    for (let x = 3; x < 29; x++) {
      const [sourceX, sourceY] = [((x + 0.5) * 28) / 32 - 0.5, ((y + 0.5) * 28) / 32 - 0.5];
      assert.close(result[(y * 32 + x) * 3]!, 20 + sourceX * (27 - sourceX) + sourceY, 1e-3);
    }
  }
});

test("shrinking 96 to 64 agrees with sharp's cubic away from the edges", async () => {
  // A smooth picture: libvips rounds its positions and weights, which a noisy one would show.
  const waves = normals({ seed: 3, stream: "waves", length: 6 });
  const pixels = Uint8Array.from({ length: 96 * 96 * 3 }, (_, at) => {
    const [x, y] = [(Math.floor(at / 3) % 96) / 96, Math.floor(at / (3 * 96)) / 96];
    return Math.round(128 + 100 * Math.sin(waves[at % 3]! * 6 * x + waves[3 + (at % 3)]! * 6 * y));
  });
  const ours = planResize({ height: 96, width: 96, size: 64 })(pixels);
  const theirs = await sharp(pixels, { raw: { width: 96, height: 96, channels: 3 } })
    .resize(64, 64, { kernel: "cubic" })
    .raw()
    .toBuffer();
  for (let y = 3; y < 61; y++) {
    const [start, end] = [(y * 64 + 3) * 3, (y * 64 + 61) * 3];
    assert.close(ours.subarray(start, end), theirs.subarray(start, end), 2, `row ${y}`);
  }
});

test.run();
