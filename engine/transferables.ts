/** Which buffers of a value can move to another thread. */

/**
 * The ArrayBuffers of the typed arrays in a value that fill theirs, each once: what `postMessage` may move instead of
 * copying. It looks through arrays and plain objects at any depth. A view of a part of a buffer is left out, since the
 * rest would be lost with it (so Node's pooled Buffers are copied), and so are empty ones and SharedArrayBuffers.
 *
 * @example
 * import { transferables } from "onestep/engine";
 * const batch = { x: new Float32Array(64), rows: [Int32Array.of(1, 2)] };
 * assert.equal(transferables(batch).length, 2); // for the `transfer` of a call that gives the batch away
 */
export function transferables(value: unknown): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  const seen = new Set<object>();
  const visit = (part: unknown): void => {
    if (typeof part !== "object" || part === null || seen.has(part)) return;
    seen.add(part);
    if (ArrayBuffer.isView(part)) {
      const { buffer, byteLength } = part;
      if (buffer instanceof ArrayBuffer && byteLength > 0 && byteLength === buffer.byteLength) found.add(buffer);
    } else for (const inner of Object.values(part)) visit(inner);
  };
  visit(value);
  return [...found];
}
