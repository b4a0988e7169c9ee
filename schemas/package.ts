/** Where this package lies, in a checkout and as built JavaScript one folder deeper, and which version it is. */
import { existsSync, readFileSync } from "node:fs";

/** The URL of the folder that holds package.json; resolve `data/...` against it. */
export function packageRoot(): URL {
  const beside = new URL("../", import.meta.url);
  return existsSync(new URL("package.json", beside)) ? beside : new URL("../", beside);
}

/** The text of a file that is published as it stands, such as a page's style; `path` is from the folder of package.json. */
export function packageText(path: string): string {
  return readFileSync(new URL(path, packageRoot()), "utf8");
}

/** The version in package.json. */
export function version(): string {
  return (JSON.parse(packageText("package.json")) as { version: string }).version;
}
