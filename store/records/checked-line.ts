/** JSON on a line that carries its own checksum: `{"shard":42,...,"crc32":"0a1b2c3d"}`. */
import { crc32 } from "../../schemas/numbers/crc.ts";

const checksumBytes = `,"crc32":"00000000"}`.length;

/**
 * An object as such a line, without its end.
 *
 * @example
 * import { checkedLine } from "./checked-line.ts";
 * assert.equal(checkedLine({ shard: 4 }), '{"shard":4,"crc32":"10889f8b"}');
 */
export function checkedLine(value: object): string {
  const text = JSON.stringify(value).slice(0, -1);
  return `${text},"crc32":"${checksumOf(Buffer.from(text))}"}`;
}

/**
 * The JSON of a line without its checksum; undefined where that is wrong.
 *
 * @example
 * import { checkedLine, checkedText } from "./checked-line.ts";
 * assert.equal(checkedText(Buffer.from(checkedLine({ shard: 4 }))), '{"shard":4}');
 * assert.equal(checkedText(Buffer.from('{"shard":5,"crc32":"10889f8b"}')), undefined);
 */
export function checkedText(line: Buffer): string | undefined {
  const text = line.subarray(0, Math.max(0, line.length - checksumBytes));
  if (line.subarray(text.length).toString("latin1") !== `,"crc32":"${checksumOf(text)}"}`) return undefined;
  return `${text}}`;
}

function checksumOf(text: Uint8Array): string {
  return crc32(text).toString(16).padStart(8, "0");
}
