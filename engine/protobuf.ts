/**
 * Protocol Buffers' wire format (protobuf.dev/programming-guides/encoding), as much of it as ONNX models and TensorBoard's
 * events need. A message is its fields one after the other; a field is its tag, (number << 3 | wire type), then a varint
 * (0), eight bytes (1), a length and bytes (2), or four bytes (5).
 */

/**
 * An integer that is a safe one in JavaScript, for int32, int64 and enumerations; negative ones take ten bytes.
 *
 * @example
 * import { integer } from "./protobuf.ts";
 * assert.deepEqual(integer(1, 150), Buffer.from([0x08, 0x96, 0x01]));
 */
export const integer = (field: number, value: number): Buffer => Buffer.concat([tag(field, 0), varint(value)]);

/**
 * A float64.
 *
 * @example
 * import { double } from "./protobuf.ts";
 * assert.equal(double(1, 0.5).readDoubleLE(1), 0.5);
 */
export function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([tag(field, 1), bytes]);
}

/**
 * A float32.
 *
 * @example
 * import { float } from "./protobuf.ts";
 * assert.equal(float(1, 0.5).readFloatLE(1), 0.5);
 */
export function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([tag(field, 5), bytes]);
}

/**
 * Bytes, or a message within a message.
 *
 * @example
 * import { integer, message } from "./protobuf.ts";
 * assert.deepEqual(message(3, integer(1, 150)), Buffer.from([0x1a, 0x03, 0x08, 0x96, 0x01]));
 */
export const message = (field: number, body: Uint8Array): Buffer => Buffer.concat([tag(field, 2), varint(body.length), body]);

/**
 * A string, in UTF-8.
 *
 * @example
 * import { text } from "./protobuf.ts";
 * assert.equal(text(2, "testing").toString("hex"), "120774657374696e67");
 */
export const text = (field: number, value: string): Buffer => message(field, Buffer.from(value));

/** A field as it was read: integers as bigint, numbers as number, all else as bytes. */
export interface Field {
  field: number;
  value: bigint | number | Uint8Array;
}

/**
 * The fields of a message in their order. Throws a RangeError where it is cut off or has groups.
 *
 * @example
 * import { fieldsOf, integer, text } from "./protobuf.ts";
 * const [step, name] = fieldsOf(Buffer.concat([integer(2, 150), text(3, "loss")]));
 * assert.deepEqual([step?.value, String(name?.value)], [150n, "loss"]);
 */
export function fieldsOf(message: Uint8Array): Field[] {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const readVariable = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = view.getUint8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (count: number): number => {
    at += count;
    if (at > message.length) throw new RangeError("a protobuf message is cut off");
    return at - count;
  };
  const fields: Field[] = [];
  while (at < message.length) {
    const key = Number(readVariable());
    const field = key >>> 3;
    const type = key & 7;
    if (type === 0) fields.push({ field, value: readVariable() });
    else if (type === 1) fields.push({ field, value: view.getFloat64(take(8), true) });
    else if (type === 5) fields.push({ field, value: view.getFloat32(take(4), true) });
    else if (type === 2) {
      const length = Number(readVariable());
      const from = take(length);
      fields.push({ field, value: message.subarray(from, from + length) });
    } else throw new RangeError(`a protobuf field has wire type ${type}`);
  }
  return fields;
}

const tag = (field: number, type: number): Buffer => varint(field * 8 + type);

/** Seven bits a byte, the lowest first; all but the last byte have their top bit set. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}
