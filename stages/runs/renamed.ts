/** A value with another text for each in it: an event, or a record, in which a folder of this machine has the name of its URL. */
export function renamed(value: unknown, named: (text: string) => string): unknown {
  if (typeof value === "string") return named(value);
  if (Array.isArray(value)) return value.map((each) => renamed(each, named));
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, renamed(each, named)]));
}
