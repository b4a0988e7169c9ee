/** What travels from the report's writer or server to its page. This file imports nothing: the browser's types read it too. */

/** A row as the gallery shows it. */
export interface GalleryRow {
  id: number;
  label: number | null;
  class: string | null;
  caption: string | null;
  name: string | null;
  facts: Record<string, string | number>;
  /** Where the pictures are: data URLs, or paths on the server. */
  image: string;
  noise?: string;
}

/** A page of rows. A written report knows the total; a served one reads no further than it must. */
export interface RowsAnswer {
  rows: GalleryRow[];
  more: boolean;
  total?: number;
}

/** How far the server has read the store; at the end its sections as HTML by the name of their element. */
export interface SurveyAnswer {
  done: number;
  of: number;
  sections?: Record<string, string>;
  error?: string;
}
