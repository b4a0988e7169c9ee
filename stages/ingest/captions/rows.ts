/** What a file of captions says in one of its rows, whatever the kind of file. */
export interface Row {
  /** As a spreadsheet counts (the head is row 1); of JSON lines the line. */
  row: number;
  /** The image it names. */
  name?: string;
  text?: string;
  /** Why it says nothing. */
  wrong?: Wrong;
  /** Something in it that is not read, while the caption is. */
  unread?: string;
}

export interface Wrong {
  /** What rows of this kind have in common. */
  reason: string;
  /** What is wrong with this one, where that is more. */
  detail?: () => string;
}

/** No row is longer, in bytes: where one is, something else is wrong, such as a quote that is never closed. */
export const longestRow = 2 ** 20;

export const TOO_LONG: Wrong = { reason: "it is longer than 1 MiB" };

/** Columns and keys that hold classes, of which nothing is read. */
export function isLabelColumn(name: string): boolean {
  return /^(labels?|class(es|_?id|_?name|_?label)?|categor(y|ies)|category_?id|target)$/i.test(name);
}
