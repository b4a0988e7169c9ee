/** Where this package lies, in a checkout and as built JavaScript one folder deeper, and which version it is. */
import { existsSync, readFileSync } from "node:fs";

/** The URL of the folder that holds package.json; resolve `data/...` against it. */
export function packageRoot(): URL {
  const beside = new URL("../", import.meta.url);
  return existsSync(new URL("package.json", beside)) ? beside : new URL("../", beside);
}

/** The version in package.json. */
export function version(): string {
  const text = readFileSync(new URL("package.json", packageRoot()), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
