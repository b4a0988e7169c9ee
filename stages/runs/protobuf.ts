/** As much of Protocol Buffers' wire format as TensorBoard's events need. */

const varint = 0;
const fixed64 = 1;
const delimited = 2;
const fixed32 = 5;

/** A non-negative safe integer, for int32, int64 and enumerations. */
export const integerField = (field: number, value: number): Uint8Array => joined([tag(field, varint), variable(value)]);

export function doubleField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return joined([tag(field, fixed64), bytes]);
}

export function floatField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return joined([tag(field, fixed32), bytes]);
}

/** Bytes, a string in UTF-8, or a message. */
export const bytesField = (field: number, value: Uint8Array): Uint8Array => joined([tag(field, delimited), variable(value.length), value]);

/** Messages are their fields one after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A field as it was read: integers as bigint, numbers as number, all else as bytes. */
export interface Field {
  field: number;
  value: bigint | number | Uint8Array;
}

/** The fields of a message in their order. Throws a RangeError where it is cut off or has groups. */
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
    if (type === varint) fields.push({ field, value: readVariable() });
    else if (type === fixed64) fields.push({ field, value: view.getFloat64(take(8), true) });
    else if (type === fixed32) fields.push({ field, value: view.getFloat32(take(4), true) });
    else if (type === delimited) {
      const length = Number(readVariable());
      const from = take(length);
      fields.push({ field, value: message.subarray(from, from + length) });
    } else throw new RangeError(`a protobuf field has wire type ${type}`);
  }
  return fields;
}

const tag = (field: number, type: number): Uint8Array => variable(field * 8 + type);

/** Seven bits a byte, the lowest first; all but the last byte have their top bit set. */
function variable(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.of(...bytes, Number(rest));
}
