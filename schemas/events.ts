/** What a running pipeline tells the outside: `--json` prints these, the terminal draws them. */
export type PipelineEvent =
  | { type: "progress"; stage: string; done: number; total?: number; unit: string; values?: Record<string, number> }
  | { type: "note"; stage: string; message: string; isDetail?: true } // a detail: nothing that a person must act upon
  | { type: "warning"; stage: string; message: string }
  | { type: "result"; stage: string; values: Record<string, number | string>; isDetail?: true }
  | { type: "figure"; stage: string; values: Record<string, number | string> } // measured, with all it depends on; people read a table
  | { type: "table"; stage: string; rows: Record<string, number | string>[]; about?: string }; // rows of the same keys; what all depend on

/** Handed to every pipeline: how to stop it, where its events go, and what things are called in the records that last. */
export interface Context {
  signal: AbortSignal;
  report: (event: PipelineEvent) => void;
  /** A text of a record with URLs in place of folders that only this machine has, where such stand for them. */
  lasting?: (text: string) => string;
}
