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
  const positions = new Float32Array(height * width * channels);
  const quarter = channels / 4;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * channels;
      [x / scaleX, y / scaleY].forEach((place, axis) => {
        for (let i = 0; i < quarter; i++) {
          const angle = place / 10000 ** (i / quarter);
          positions[at + 2 * axis * quarter + i] = Math.sin(angle);
          positions[at + (2 * axis + 1) * quarter + i] = Math.cos(angle);
        }
      });
    }
  }
  return positions;
}
