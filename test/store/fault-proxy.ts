/** A proxy before a bucket that does what networks and clouds do: refuse, reset, hang, cut a body, or lose the answer of what was done. */
import { createServer, request } from "node:http";
import { uniforms } from "../../schemas/numbers/philox.ts";

const faults = ["busy", "reset", "hang", "cut", "lost"] as const;
type Fault = (typeof faults)[number];

export interface FaultProxy {
  endpoint: string;
  /** How often each fault befell a request. */
  counts: Record<Fault, number>;
  /** Ends the faults: requests go through from now on. */
  calm: () => void;
  close: () => void;
}

/** Starts a proxy that fails a share of all requests, each by a fault drawn for it. */
export async function startFaultProxy({ target, share, seed }: { target: string; share: number; seed: number }): Promise<FaultProxy> {
  const counts = { busy: 0, reset: 0, hang: 0, cut: 0, lost: 0 };
  const to = new URL(target);
  let [asked, isCalm] = [0, false];
  const draw = (): Fault | undefined => {
    const [whether = 1, which = 0] = uniforms({ seed, stream: "faults", offset: 2 * asked++, length: 2 });
    return isCalm || whether >= share ? undefined : faults[Math.floor(which * faults.length)];
  };
  const server = createServer((incoming, answer) => {
    let fault = draw();
    if (fault === "cut" && incoming.method !== "GET") fault = "lost";
    if (fault) counts[fault]++;
    if (fault === "busy") {
      incoming.resume();
      answer.writeHead(503).end("<Error><Code>SlowDown</Code></Error>");
      return;
    }
    if (fault === "reset") return void incoming.socket.destroy();
    if (fault === "hang") return;
    const outgoing = request(
      { host: to.hostname, port: to.port, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (response) => {
        if (fault === "lost") {
          response.resume().on("end", () => incoming.socket.destroy());
          return;
        }
        answer.writeHead(response.statusCode ?? 500, response.headers);
        if (fault !== "cut") return void response.pipe(answer);
        response.once("data", (piece: Buffer) => {
          answer.write(piece.subarray(0, piece.length >> 1), () => incoming.socket.destroy());
        });
        response.once("end", () => incoming.socket.destroy());
      },
    );
    outgoing.on("error", () => incoming.socket.destroy());
    incoming.pipe(outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    ...{ endpoint: `http://127.0.0.1:${port}`, counts },
    calm: () => {
      isCalm = true;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
