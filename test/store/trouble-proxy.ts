/** A proxy before a bucket that is well until told: from a request on, every one is refused as too many, or has no answer ever. */
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** What befalls requests. */
export type Trouble = "busy" | "hang";

export interface TroubleProxy {
  endpoint: string;
  /** How many requests there were. */
  asked: () => number;
  /** The requests that were in trouble: method, path and range. */
  troubled: string[];
  /** Lets `count` more requests through, and none after; resolves with the first that is in trouble. */
  after: (count: number, trouble: Trouble) => Promise<void>;
  /** Lets all through again. */
  calm: () => void;
  close: () => void;
}

/** Starts a proxy that lets all through. */
export async function startTroubleProxy(target: string): Promise<TroubleProxy> {
  const to = new URL(target);
  const troubled: string[] = [];
  let [left, trouble, begin] = [Number.POSITIVE_INFINITY, "busy" as Trouble, (): void => {}];
  let asked = 0;
  const server = createServer((incoming, answer) => {
    asked++;
    const { method, url, headers } = incoming;
    if (left-- > 0) {
      const outgoing = request({ host: to.hostname, port: to.port, method, path: url, headers }, (response) => {
        response.pipe(answer.writeHead(response.statusCode ?? 500, response.headers));
      });
      outgoing.on("error", () => incoming.socket.destroy());
      return void incoming.pipe(outgoing);
    }
    troubled.push([method, url, headers.range].join(" "));
    incoming.resume();
    begin();
    if (trouble === "busy") answer.writeHead(503).end("<Error><Code>SlowDown</Code></Error>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ...{ endpoint: `http://127.0.0.1:${port}`, asked: () => asked, troubled },
    after: (count, kind) => {
      [left, trouble] = [count, kind];
      troubled.length = 0;
      return new Promise((resolve) => {
        begin = resolve;
      });
    },
    calm: () => {
      left = Number.POSITIVE_INFINITY;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
