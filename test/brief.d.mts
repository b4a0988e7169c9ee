/** Of brief.mjs. */
export function brief(file: { name: string; output: string; trouble: string }): string;
