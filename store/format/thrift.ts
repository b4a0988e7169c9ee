/**
 * A walk over Thrift's compact form, which is what Parquet's footers and page headers are written in. The parser that follows it
 * believes whatever it reads: numbers of a million bytes, lists of four thousand million empty structs, a million structs in one
 * another. The walk costs nothing and refuses those first.
 */
const mostValues = 2 ** 20; // of a footer: 150 each row group, so 7,000 row groups
const deepest = 16;
const longestNumber = 10; // bytes of 64 bits, seven at a time

/** Throws an Error where the struct at the start of the bytes is torn, or holds more than any shard does. */
export function checkThrift(bytes: Uint8Array): void {
  let at = 0;
  let values = 0;
  const byte = (): number => {
    if (at >= bytes.length) throw new Error("its description ends too early");
    return bytes[at++]!;
  };
  const number = (): number => {
    let value = 0;
    for (let i = 0; i < longestNumber; i++) {
      const next = byte();
      value += (next & 0x7f) * 2 ** (7 * i);
      if (next < 0x80) return value;
    }
    throw new Error("its description holds a number of more than 64 bits");
  };
  const skip = (length: number): void => {
    if (length > bytes.length - at) throw new Error("its description ends too early");
    at += length;
  };
  const element = (type: number, depth: number, inList: boolean): void => {
    if (++values > mostValues) throw new Error(`its description holds more than ${mostValues} values`);
    if (depth > deepest) throw new Error(`its description is nested more than ${deepest} deep`);
    if (type === 1 || type === 2)
      inList && skip(1); // a field's truth is its type
    else if (type === 3) skip(1);
    else if (type >= 4 && type <= 6) number();
    else if (type === 7) skip(8);
    else if (type === 8) skip(number());
    else if (type === 9) list(depth + 1);
    else if (type === 12) struct(depth + 1);
    else throw new Error(`its description holds a value of the unknown type ${type}`);
  };
  const list = (depth: number): void => {
    const head = byte();
    const size = head >> 4 === 15 ? number() : head >> 4;
    for (let i = 0; i < size; i++) element(head & 0x0f, depth, true);
  };
  const struct = (depth: number): void => {
    for (let head = byte(); (head & 0x0f) !== 0; head = byte()) {
      if (head >> 4 === 0) number();
      element(head & 0x0f, depth, false);
    }
  };
  struct(0);
}
