/**
 * A reader of FlatBuffers that believes nothing: Arrow's descriptions are written in them, and a table's numbers say where in the bytes
 * others are. Each read is held against the bytes, and a list is never longer than they are. The format:
 * https://flatbuffers.dev/internals
 */
export interface Table {
  view: DataView;
  /** Where it begins, and where the list of its fields' places does. */
  at: number;
  fields: number;
}

/** The table of which the bytes begin with the place. Throws an Error in words where they are torn. */
export function rootTable(bytes: Uint8Array): Table {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return inWords(() => tableAt(view, follow(view, 0)));
}

/** The whole number in a field; `usual` where the field is left out. Throws an Error in words, as all here do. */
export function numberIn(table: Table, field: number, kind: "Uint8" | "Int16" | "Int32" | "BigInt64", usual = 0): number {
  return inWords(() => {
    const at = placeOf(table, field);
    return at === undefined ? usual : Number(table.view[`get${kind}`](at, true));
  });
}

/** Whether a field is there at all. */
export const hasField = (table: Table, field: number): boolean => inWords(() => placeOf(table, field) !== undefined);

/** The table that a field refers to. */
export function tableIn(table: Table, field: number): Table {
  return inWords(() => tableAt(table.view, follow(table.view, present(table, field))));
}

/** The text that a field refers to; empty where it is left out. */
export function textIn(table: Table, field: number): string {
  const { view } = table;
  return inWords(() => {
    const at = placeOf(table, field);
    if (at === undefined) return "";
    const start = follow(view, at);
    const length = view.getUint32(start, true);
    if (length > view.byteLength - start - 4) throw new RangeError();
    return Buffer.from(view.buffer as ArrayBuffer, view.byteOffset + start + 4, length).toString();
  });
}

/** Where the structs of a field's list lie, `width` bytes each, and how many they are: none where it is left out. */
export function listIn(table: Table, field: number, width: number): { at: number; length: number } {
  const { view } = table;
  return inWords(() => {
    const at = placeOf(table, field);
    if (at === undefined) return { at: 0, length: 0 };
    const start = follow(view, at);
    const length = view.getUint32(start, true);
    if (length * width > view.byteLength - start - 4) throw new RangeError();
    return { at: start + 4, length };
  });
}

/** The tables of a field's list, of which there may be `most`: several may refer to the same bytes, so their sizes say nothing. */
export function tablesIn(table: Table, field: number, most: number): Table[] {
  const { view } = table;
  const { at, length } = listIn(table, field, 4);
  if (length > most) throw new Error(`its description has a list of ${length}, expected at most ${most}`);
  return inWords(() => Array.from({ length }, (_, i) => tableAt(view, follow(view, at + 4 * i))));
}

function tableAt(view: DataView, at: number): Table {
  const fields = at - view.getInt32(at, true);
  view.getUint16(fields, true);
  return { view, at, fields };
}

function placeOf({ view, at, fields }: Table, field: number): number | undefined {
  const entry = 4 + 2 * field;
  const offset = entry + 2 <= view.getUint16(fields, true) ? view.getUint16(fields + entry, true) : 0;
  return offset === 0 ? undefined : at + offset;
}

function present(table: Table, field: number): number {
  const at = placeOf(table, field);
  if (at === undefined) throw new Error("its description lacks what Arrow requires");
  return at;
}

const follow = (view: DataView, at: number): number => at + view.getUint32(at, true);

/** A place beyond the bytes is an error of DataView's. */
function inWords<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) throw new Error("its description refers to what is beyond its end", { cause: error });
    throw error;
  }
}
