/**
 * The service worker: keeps the page's own files, so that it opens without a connection, and adds the headers that let WebAssembly
 * use several threads where a file server does not send them. Weights are not its business: the page keeps those itself.
 */
{
  /** What is used of a worker's scope and its events. */
  interface Scope {
    skipWaiting: () => Promise<void>;
    clients: { claim: () => Promise<void> };
    registration: { scope: string };
    addEventListener: (type: string, listener: (event: Incoming) => void) => void;
  }
  interface Incoming {
    request: Request;
    waitUntil: (work: Promise<unknown>) => void;
    respondWith: (answer: Promise<Response>) => void;
  }

  const scope = self as unknown as Scope;
  const cacheName = `onestep-page ${scope.registration.scope}`;

  scope.addEventListener("install", (event) => event.waitUntil(keepAll().then(() => scope.skipWaiting())));
  scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));
  scope.addEventListener("fetch", (event) => {
    const { request } = event;
    const { origin, pathname } = new URL(request.url);
    const isOurs = origin === new URL(scope.registration.scope).origin && request.method === "GET" && !request.headers.has("range");
    if (isOurs && !/\.(onnx|wasm)$/.test(pathname)) event.respondWith(answered(request));
  });

  async function keepAll(): Promise<void> {
    const files = (await (await fetch(new URL("files.json", scope.registration.scope))).json()) as string[];
    const cache = await caches.open(cacheName);
    await cache.addAll(files.map((file) => new URL(file, scope.registration.scope).href));
  }

  /** From the server where it answers, so that a new export is seen at once; what is kept otherwise. */
  async function answered(request: Request): Promise<Response> {
    const cache = await caches.open(cacheName);
    try {
      const response = await fetch(request);
      if (response.status !== 200) return response;
      const [key] = request.url.split("#");
      await cache.put((key as string).replace(/\?.*$/, ""), response.clone());
      return isolated(response);
    } catch (error) {
      const kept = await cache.match(request, { ignoreSearch: true });
      if (!kept) throw error;
      return isolated(kept);
    }
  }

  /** The same answer with the two headers under which a page may share memory between threads. */
  function isolated(response: Response): Response {
    const headers = new Headers(response.headers);
    headers.set("cross-origin-embedder-policy", "require-corp");
    headers.set("cross-origin-opener-policy", "same-origin");
    const { status, statusText, body } = response;
    return new Response(body, { status, statusText, headers });
  }
}
