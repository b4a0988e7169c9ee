/** What a server answers, as data: a text, or bytes of a file that are read while they are sent. */

export interface Answer {
  status: number;
  /** The media type, "text/html; charset=utf-8". */
  type: string;
  content: string | FileBytes;
  headers?: Readonly<Record<string, string>>;
}

/** Bytes `from` to `to` (exclusive) of a file. */
export interface FileBytes {
  path: string;
  from: number;
  to: number;
}

/** What a request asks for, once it may be answered. */
export interface Asked {
  address: URL;
  /** The header `Range`. */
  range: string | undefined;
  /** Aborts when nobody waits any longer. */
  signal: AbortSignal;
}

/** Something that can be served. */
export interface Source {
  /** Its content security policy, which every answer says. */
  policy: string;
  /** May throw: a Failure is answered with 400, any other error with 500. */
  answer: (asked: Asked) => Promise<Answer>;
  close: () => Promise<void>;
}

/** A page. */
export const html = (content: string): Answer => ({ status: 200, type: "text/html; charset=utf-8", content });

/** A value as JSON, with status 200 unless told. */
export const json = (content: object, status = 200): Answer => ({
  status,
  type: "application/json; charset=utf-8",
  content: JSON.stringify(content),
});

/** 404, in JSON. */
export const nothingHere = (): Answer => json({ error: "there is nothing at this address" }, 404);
