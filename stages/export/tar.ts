/** A tar archive (POSIX ustar) of files in memory; without clock or user, so equal files give equal bytes. */
export function tarOf(files: readonly { name: string; bytes: Uint8Array }[]): Uint8Array {
  const padded = (length: number) => Math.ceil(length / 512) * 512;
  const size = files.reduce((sum, { bytes }) => sum + 512 + padded(bytes.length), 1024);
  const archive = Buffer.alloc(size);
  let at = 0;
  for (const { name, bytes } of files) {
    if (name.length > 100) throw new RangeError(`Cannot archive "${name}": a name of tar has at most 100 letters`);
    archive.set(headerOf(name, bytes.length), at);
    archive.set(bytes, at + 512);
    at += 512 + padded(bytes.length);
  }
  return archive;
}

function headerOf(name: string, size: number): Uint8Array {
  const header = Buffer.alloc(512);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  header.write(name, 0, "latin1");
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7), 108); // user
  header.write(octal(0, 7), 116); // group
  header.write(octal(size, 11), 124);
  header.write(octal(0, 11), 136); // time
  header.write(" ".repeat(8), 148); // the checksum counts itself as blanks
  header.write("0", 156); // a plain file
  header.write("ustar\u000000", 257, "latin1");
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}
