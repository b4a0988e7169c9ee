/**
 * The values of a short batch as a program of a fixed shape takes them: zeros follow, up to `length`. A whole batch is
 * answered as it is, not copied.
 *
 * @example
 * import { filled } from "./fill.ts";
 * assert.deepEqual(filled(Float32Array.of(1, 2), 4), Float32Array.of(1, 2, 0, 0));
 */
export function filled<T extends Float32Array | Int32Array>(values: T, length: number): T {
  if (values.length === length) return values;
  const whole = new (values.constructor as new (n: number) => T)(length);
  whole.set(values);
  return whole;
}
