/** Placeholder until the branch with low-rank adapters is merged. */
export type Adapter = "all";
