/** Positions of patches on a grid as diffusers computes them (`get_2d_sincos_pos_embed`). */

/**
 * Sines and cosines of columns, then of rows, each half of the width: [height * width, channels], row after row. Coordinates are
 * divided by `scale`: how much finer the grid is than the one that the network was trained on.
 */
export function gridPositions(options: {
  height: number;
  width: number;
  channels: number;
  scale?: readonly [number, number];
}): Float32Array {
  const { height, width, channels, scale: [scaleY, scaleX] = [1, 1] } = options;
  const half = channels / 2;
  const [columns, rows] = [waves(width, half, scaleX), waves(height, half, scaleY)];
  const positions = new Float32Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * channels;
      positions.set(columns.subarray(x * half, (x + 1) * half), at);
      positions.set(rows.subarray(y * half, (y + 1) * half), at + half);
    }
  }
  return positions;
}

/** Of each place of a line, sines, then cosines of its coordinate at falling rates: [count, length]. */
function waves(count: number, length: number, scale: number): Float32Array {
  const each = length / 2;
  const table = new Float32Array(count * length);
  for (let place = 0; place < count; place++) {
    for (let i = 0; i < each; i++) {
      const angle = place / scale / 10000 ** (i / each);
      table[place * length + i] = Math.sin(angle);
      table[place * length + each + i] = Math.cos(angle);
    }
  }
  return table;
}
