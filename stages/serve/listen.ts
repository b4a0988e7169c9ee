/** The one server: it answers this machine alone, from whatever source it is given. */
import { createReadStream } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import type { Context } from "../../schemas/events.ts";
import { Failure, isFailure } from "../../schemas/failure.ts";
import { type Answer, json, type Source } from "./answer.ts";
import { addressed, guardHeaders } from "./guard.ts";

/**
 * Serves a source on 127.0.0.1 until the signal aborts, and closes it. `shows` says in words what is seen at the address, which is
 * reported as a note. What is answered, and to whom, says guard.ts. Throws a Failure where the port cannot be had; 0 is any free one.
 */
export async function serveSource(options: { source: Source; shows: string; port: number; context: Context }): Promise<void> {
  const { source, shows, port, context } = options;
  const { report, signal } = context;
  const server = createServer((request, response) => {
    const left = new AbortController(); // when the browser waits no longer, as after the next key in a filter
    response.once("close", () => left.abort());
    respond(request, response, AbortSignal.any([signal, left.signal])).catch((error: Error) => {
      if (response.destroyed || signal.aborted) return;
      if (!isFailure(error)) report({ type: "warning", stage: "serve", message: error.message });
      if (response.headersSent) return void response.destroy(); // the rest of a file cannot be read
      send(response, json({ error: error.message }, isFailure(error) ? 400 : 500)).catch(() => response.destroy());
    });
  });

  async function respond(request: IncomingMessage, response: ServerResponse, waited: AbortSignal): Promise<void> {
    const address = addressed(request);
    if (!(address instanceof URL)) {
      const { status, error } = address;
      return send(response, { ...json({ error }, status), ...(status === 405 && { headers: { allow: "GET, HEAD" } }) });
    }
    const { range } = request.headers;
    await send(response, await source.answer({ address, range, signal: waited }), request.method === "HEAD");
  }

  async function send(response: ServerResponse, { status, type, content, headers }: Answer, isHead = false): Promise<void> {
    const length = typeof content === "string" ? Buffer.byteLength(content) : content.to - content.from;
    response.writeHead(status, { ...guardHeaders(source.policy), "content-type": type, "content-length": length, ...headers });
    if (isHead || length === 0) response.end();
    else if (typeof content === "string") response.end(content);
    else await pipeline(createReadStream(content.path, { start: content.from, end: content.to - 1 }), response);
  }

  try {
    await new Promise<void>((done, failed) => {
      server.once("error", failed);
      server.listen({ host: "127.0.0.1", port, signal }, done);
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE" && error.code !== "EACCES") throw error;
      const why = error.code === "EACCES" ? "not yours to use" : "taken";
      throw new Failure(`Cannot serve on port ${port}: it is ${why}. Name another with --port, or leave it out.`);
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    report({ type: "note", stage: "serve", message: `${url} shows ${shows}; Ctrl-C ends it` });
    await new Promise<void>((done) => {
      if (signal.aborted) done();
      signal.addEventListener("abort", () => done(), { once: true });
    });
  } finally {
    const closed = new Promise<void>((done) => server.close(() => done())); // first, so that no connection comes between
    server.closeAllConnections();
    await closed;
    await source.close();
  }
}
