import type { ImageSettings } from "../../schemas/settings.ts";

/** A file that a source offers, before any of its bytes are read. */
export interface Entry {
  name: string;
  size: number; // bytes once unpacked, as declared
  crc?: number;
  reason?: string; // why it is not to be read
}

/** A zip or a folder that has been listed. */
export interface Archive<E extends Entry = Entry> {
  source: string; // base name
  entries: E[];
  open(): Promise<Reader<E>>;
}

export interface Reader<E extends Entry = Entry> {
  /** The entry's bytes, exactly `size` of them; rejects with an Error that says what is wrong with the entry. */
  read(entry: E): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** The end of the sentence that says a limit was passed, and which. */
export function over(setting: keyof ImageSettings, limits: ImageSettings): string {
  return `more than the limit of ${limits[setting]} (images.${setting})`;
}
