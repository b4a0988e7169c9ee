/** Who may look at what is served: this machine's own browser at the page itself, and no other site through it. */
import type { IncomingMessage } from "node:http";

/** A request that is not answered, and why. */
export interface Refusal {
  status: 400 | 403 | 405;
  error: string;
}

const names = ["127.0.0.1", "localhost", "[::1]"];

/**
 * Why a request is refused, or the address that it asks for. A host of another name resolves to this machine for another
 * site's page alone (DNS rebinding); any port is right, since tunnels change it. Browsers say which site asks by
 * `Sec-Fetch-Site`: another one may link to the page, but neither read it, frame it nor ask for rows.
 */
export function addressed(request: Pick<IncomingMessage, "headers" | "method" | "url">): Refusal | URL {
  const { headers, method, url = "/" } = request;
  const { host = "", origin } = headers;
  if (!names.includes(host.replace(/:\d{1,5}$/, "").toLowerCase())) return { status: 403, error: "only this machine may look" };
  if (method !== "GET" && method !== "HEAD") return { status: 405, error: "only GET and HEAD are answered" };
  const address = wellFormed(url);
  if (!address) return { status: 400, error: "the address is not well-formed" };
  const isLink = address.pathname === "/" && headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
  const site = headers["sec-fetch-site"] ?? "none";
  const isForeign = (site !== "none" && site !== "same-origin") || (origin !== undefined && origin !== `http://${host}`);
  return isForeign && !isLink ? { status: 403, error: "no other site may look" } : address;
}

function wellFormed(url: string): URL | undefined {
  try {
    decodeURIComponent(url);
    return new URL(url, "http://127.0.0.1");
  } catch {
    return undefined;
  }
}

/**
 * What every answer says to the browser: keep it from other pages, guess no type, and ask again before showing a copy. The
 * two cross-origin rules together give a page memory that threads share, which WebAssembly needs for more than one.
 */
export function guardHeaders(policy: string): Readonly<Record<string, string>> {
  return {
    "content-security-policy": policy,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
  };
}
