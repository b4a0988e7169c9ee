import { type Count, counts, type Kind, kinds } from "./attributes.ts";
import { figure, raster, svg } from "./draw.ts";
import { footOf, places } from "./scene.ts";
import { drawings } from "./subjects.ts";

/** The coloured part of one subject as it is drawn when there are `count`. */
export interface Template {
  kind: Kind;
  count: Count;
  /** The pixels it covers, as offsets from the foot in a mask of rows STRIDE wide, and the share it covers of each. */
  offsets: Int32Array;
  shares: Float32Array;
  /** Sum of squared shares. */
  energy: number;
  /** Where the subjects of such a picture stand. */
  slots: { x: number; y: number }[];
}

/** Width and height of what is read, and of a mask with a margin that no template within reach leaves. */
export const SIZE = 64;
export const MARGIN = 32;
export const STRIDE = SIZE + 2 * MARGIN;

/** Every kind at every count; both ways round where that makes a difference. */
export const templates: Template[] = (
  await Promise.all(
    kinds.flatMap((kind) =>
      counts.map(async (count) => {
        const [right, left] = await Promise.all([makeTemplate(kind, count, false), makeTemplate(kind, count, true)]);
        return `${right.offsets}` === `${left.offsets}` ? [right] : [right, left];
      }),
    ),
  )
).flat();

async function makeTemplate(kind: Kind, count: Count, mirrored: boolean): Promise<Template> {
  const { xs, width } = places[count];
  const foot = { x: 32, y: 56 };
  const paint = async (colour: string) => {
    const drawing = drawings[kind]({ main: colour, deep: colour, detail: "#000000" });
    return await raster(svg(figure(drawing, { ...foot, width }, mirrored)), SIZE)
      .raw()
      .toBuffer();
  };
  // What changes with the colour is what the colour covers.
  const [bright, dark] = await Promise.all([paint("#ffffff"), paint("#000000")]);
  const offsets: number[] = [];
  const shares: number[] = [];
  for (let at = 0; at < SIZE * SIZE; at++) {
    const share = (bright[3 * at]! - dark[3 * at]!) / 255;
    if (share < 0.1) continue;
    offsets.push((Math.floor(at / SIZE) - foot.y) * STRIDE + (at % SIZE) - foot.x);
    shares.push(share);
  }
  const y = Math.round(footOf({ kind, count }));
  return {
    kind,
    count,
    offsets: Int32Array.from(offsets),
    shares: Float32Array.from(shares),
    energy: shares.reduce((sum, share) => sum + share * share, 0),
    slots: xs.map((x) => ({ x: Math.round(x), y })),
  };
}
