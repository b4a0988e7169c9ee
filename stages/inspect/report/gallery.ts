/** Rows as the report's gallery shows them. */
import type { Manifest } from "../../../schemas/manifest.ts";
import { visible } from "../../../schemas/visible.ts";
import { sharp } from "../../../schemas/sharp.ts";
import type { Picture } from "../../../schemas/images.ts";
import { idOf, type Selected } from "../rows.ts";
import { rowFacts } from "../facts.ts";
import type { View } from "../viewer.ts";
import type { GalleryRow } from "./row.ts";

const largest = 256; // pixels of a side

/** A row without its pictures, all of its words as people may see them. */
export function describeRow(manifest: Manifest, { row, shard, position }: Selected): Omit<GalleryRow, "image" | "noise"> {
  const { label = null, caption = null } = row;
  const seen = (text: string | null | undefined) => (text == null ? null : visible(text));
  const facts = Object.entries(rowFacts(manifest, row, { shard, position }));
  return {
    id: idOf(row),
    label,
    class: seen(manifest.classes[label ?? -1]),
    caption: seen(caption),
    name: seen("name" in row ? row.name : null),
    facts: Object.fromEntries(facts.map(([name, value]) => [name, typeof value === "string" ? visible(value) : value])),
  };
}

/** Its pictures as data URLs. */
export async function picturesOf({ image, noise }: View): Promise<Pick<GalleryRow, "image" | "noise">> {
  const [picture, grain] = [await pngOf(image), noise && (await webpOf(noise))];
  return {
    image: `data:image/png;base64,${picture.toString("base64")}`,
    ...(grain && { noise: `data:image/webp;base64,${grain.toString("base64")}` }),
  };
}

const raw = ({ pixels, width, height }: Picture) =>
  sharp(pixels, { raw: { width, height, channels: 3 } }).resize({
    width: largest,
    height: largest,
    fit: "inside",
    withoutEnlargement: true,
  });

const pngOf = (picture: Picture): Promise<Buffer> => raw(picture).png().toBuffer();
const webpOf = (picture: Picture): Promise<Buffer> => raw(picture).webp({ quality: 70 }).toBuffer(); // noise hardly compresses without loss
