/** Groups of settings laid over each other: the later one wins, lists are replaced whole. */
export function merge(under: unknown, over: unknown): unknown {
  if (!isGroup(under) || !isGroup(over)) return over;
  const merged = { ...under };
  for (const [key, value] of Object.entries(over)) merged[key] = key in merged ? merge(merged[key], value) : value;
  return merged;
}

/** Whether a value of settings is a group of others, and neither a single value nor a list. */
export function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
