import { createHash, webcrypto } from "node:crypto";

/** sha256 (hex), computed off the main thread. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest("SHA-256", bytes)).toString("hex");
}

/** sha256 (hex) of text, for small files. */
export function textHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
