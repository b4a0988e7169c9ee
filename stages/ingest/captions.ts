import type { CaptionProblem } from "../../schemas/images.ts";
import { parseCsv } from "./csv.ts";
import type { Archive, Entry } from "./listing.ts";
import { displayName } from "../../schemas/visible.ts";
import { folderOf, looksLikeImage, stemOf } from "./names.ts";

const longest = 4000; // characters

/** What a caption file says about one image: the name it gives, and the text or what is wrong with it. */
type Row = { row: number; name?: string; text?: string; wrong?: string };

/** A caption file: one for a whole folder, or the text beside one image. */
export function captionKind(name: string): "csv" | "jsonl" | "txt" | undefined {
  const base = name.slice(folderOf(name).length);
  if (base === "captions.csv") return "csv";
  if (base === "metadata.jsonl") return "jsonl";
  return base.toLowerCase().endsWith(".txt") ? "txt" : undefined;
}

/**
 * The captions of the images of one archive. `captions.csv` (columns file_name and text or caption) goes before
 * `metadata.jsonl` (file_name and text or caption), which goes before a .txt beside the image; the first caption of an
 * image wins. A file's names are relative to its own folder. White space is folded. Nothing here is fatal: what is
 * wrong is listed in `problems`, and where there are captions at all, so is every image without one.
 */
export async function readCaptions(
  archive: Archive,
  images: Entry[],
): Promise<{ captions: Map<Entry, string>; problems: CaptionProblem[] }> {
  const { source } = archive;
  const captions = new Map<Entry, string>();
  const problems: CaptionProblem[] = [];
  const blame = (entry: string, reason: string) => problems.push({ source, entry: displayName(entry), reason });
  const ofKind = (kind: string) => archive.entries.filter(({ name }) => captionKind(name) === kind);

  const reader = await archive.open();
  const read = async (file: Entry): Promise<string | undefined> => {
    try {
      if (file.reason) throw new Error(file.reason);
      return new TextDecoder().decode(await reader.read(file));
    } catch (error) {
      blame(file.name, `caption file not read: ${(error as Error).message}`);
      return undefined;
    }
  };

  try {
    const named = group(images, ({ name }) => name);
    const take = (folder: string, { name, text, wrong }: Row): string | undefined => {
      if (wrong) return wrong;
      if (!name) return "no file_name";
      const targets = named.get(folder + name);
      const caption = fold(text);
      if (!targets) return `no image is called "${displayName(name)}"`;
      if (!caption) return `no text for "${displayName(name)}"`;
      if (caption.length > longest) return `the text for "${displayName(name)}" has more than ${longest} characters`;
      if (targets.some((image) => captions.has(image))) return `"${displayName(name)}" has a caption already, the first is kept`;
      for (const image of targets) captions.set(image, caption);
      return undefined;
    };
    for (const kind of ["csv", "jsonl"]) {
      for (const file of ofKind(kind)) {
        const text = (await read(file)) ?? "";
        for (const row of kind === "csv" ? csvRows(text) : jsonRows(text)) {
          const fault = take(folderOf(file.name), row);
          if (fault) blame(file.name, `row ${row.row}: ${fault}`);
        }
      }
    }

    const beside = group(images, ({ name }) => stemOf(name));
    for (const file of ofKind("txt")) {
      const without = (beside.get(stemOf(file.name)) ?? []).filter((image) => !captions.has(image));
      const text = without.length > 0 ? await read(file) : undefined;
      if (text === undefined) continue;
      const caption = fold(text);
      if (!caption) blame(file.name, "the text is empty");
      else if (caption.length > longest) blame(file.name, `the text has more than ${longest} characters`);
      else for (const image of without) captions.set(image, caption);
    }
  } finally {
    await reader.close();
  }

  const bare = images.filter((image) => !captions.has(image) && looksLikeImage(image.name));
  if (captions.size > 0) for (const image of bare) blame(image.name, "no caption");
  return { captions, problems };
}

function group(images: Entry[], key: (image: Entry) => string): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const image of images) {
    const members = groups.get(key(image));
    if (members) members.push(image);
    else groups.set(key(image), [image]);
  }
  return groups;
}

function csvRows(text: string): Row[] {
  const [head, ...rows] = parseCsv(text);
  if (!head) return [];
  const columns = head.map((column) => column.trim().toLowerCase());
  const name = columns.indexOf("file_name");
  const caption = columns.includes("text") ? columns.indexOf("text") : columns.indexOf("caption");
  if (name < 0 || caption < 0) {
    return [
      {
        row: 1,
        wrong: `the columns file_name and text (or caption) are needed, found: ${displayName(columns.join(", "))}`,
      },
    ];
  }
  return rows.map((row, i) => ({ row: i + 2, name: row[name], text: row[caption] }));
}

function jsonRows(text: string): Row[] {
  return text.split("\n").flatMap((json, i): Row[] => {
    const row = i + 1;
    if (json.trim() === "") return [];
    try {
      const { file_name: name, text, caption = text } = JSON.parse(json) ?? {};
      if (typeof name !== "string") return [{ row, wrong: "no file_name" }];
      if (caption !== undefined && typeof caption !== "string")
        return [{ row, wrong: `the text for "${displayName(name)}" is not a string` }];
      return [{ row, name, text: caption }];
    } catch {
      return [{ row, wrong: "not valid JSON" }];
    }
  });
}

function fold(text: string | undefined): string | undefined {
  return text?.normalize("NFC").replace(/\s+/g, " ").trim();
}
