/** What a user may do wrong with a bucket, against answers as clouds give them: each is told in one sentence, without a key in it. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isFailure } from "../../schemas/failure.ts";
import { filesAt, namesAt } from "../../store/places/files.ts";
import { forgetOperators } from "../../store/places/operator.ts";
import { placeOf } from "../../store/places/place.ts";
import { openStore } from "../../store/shards/store.ts";
import { assert, suite } from "../harness.ts";
import { environmentOf } from "./bucket-server.ts";

const test = suite("errors of buckets");

test("a URL whose names a cloud or its client would change, or with a key in it, is refused", () => {
  for (const [url, expected] of [
    ["s3://bucket/ü ñ/日本+%20", undefined],
    ["az://bucket/a b/ü", undefined],
    ["gs://bucket/runs/a-1_2.3", undefined],
    ["s3://bucket/ a", /begins or ends with a space/],
    ["s3://bucket/a\nb", /control character/],
    ["az://bucket/a%20b", /no %/],
    ["az://bucket/a\\b", /no \\/],
    ["gs://bucket/my runs", /names in gs:/],
    ["gs://bucket/ü", /names in gs:/],
    ["s3://bucket//a", /is empty/],
    ["s3://bucket/", /expected a bucket and a prefix/],
    ["s3://KEY:SECRET@bucket/a", /holds credentials/],
    ["az://bucket/a?sv=2020&sig=SECRET", /holds credentials/],
    ["https://host/a?X-Amz-Signature=SECRET", /holds credentials/],
  ] as const) {
    if (!expected) assert.ok(placeOf(url));
    else
      assert.throws(
        () => placeOf(url),
        (error: Error) => isFailure(error) && error.exitCode === 2 && expected.test(error.message) && !/SECRET/.test(error.message),
      );
  }
});

/** Makes the environment what it was: in place, since the client looks there itself. */
function restore(before: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
  forgetOperators();
}

/** Asks a server that always answers so; what is said of it. */
async function told(answer: (response: ServerResponse) => void, url: string, ask: (url: string) => Promise<unknown>): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on("end", () => answer(response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const before = { ...process.env };
  Object.assign(process.env, environmentOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  forgetOperators();
  try {
    await ask(url);
  } catch (error) {
    if (!isFailure(error)) throw error;
    return error.message;
  } finally {
    restore(before);
    server.close();
    server.closeAllConnections();
  }
  throw new Error("nothing was wrong");
}

const answer =
  (status: number, body = "", headers: Record<string, string> = {}) =>
  (response: ServerResponse): void =>
    void response.writeHead(status, { "content-type": "application/xml", ...headers }).end(body);
const code = (name: string): string => `<?xml version="1.0"?><Error><Code>${name}</Code><Message>m</Message></Error>`;

test("what a bucket answers is told: which bucket is not there, whose key is wrong, and where nothing of the kind is", async () => {
  const list = (url: string): Promise<unknown> => namesAt(url);
  const open = (folder: string): Promise<unknown> => openStore({ folder });
  assert.match(await told(answer(404, code("NoSuchBucket")), "s3://nobody/x", list), /there is no such bucket at http:\/\/127/);
  assert.match(await told(answer(404, code("NoSuchBucket")), "s3://nobody/x", open), /there is no such bucket/);
  assert.match(await told(answer(404, "Not Found"), "s3://bucket/x", open), /there is no such bucket at http:\/\/127/);
  assert.match(await told(answer(404, "{}"), "gs://bucket/x", open), /there is no such bucket at http:\/\/127/);
  const closes = { connection: "close", "keep-alive": "timeout=5" };
  const unknown = await told(answer(404, code("XAdminUserNotFound"), closes), "s3://bucket/x", list);
  assert.match(unknown, /permission is denied \(404, XAdminUserNotFound\)/);
  assert.match(
    await told(answer(403, code("InvalidAccessKeyId")), "s3://bucket/x", list),
    /permission is denied \(403, InvalidAccessKeyId\)/,
  );
  const strange = await told(answer(400, code("MalformedXML"), closes), "az://bucket/x", list);
  assert.not.match(strange, /nothing answers|in time/); // its headers speak of both
});

test("a cloud of which the environment says too little, or nonsense, is told by what to set", async () => {
  const before = { ...process.env };
  const said = async (environment: Record<string, string>, url: string): Promise<string> => {
    for (const name of Object.keys(process.env)) if (/^(AWS|AZURE)_/.test(name)) delete process.env[name];
    Object.assign(process.env, environment);
    forgetOperators();
    const messages: string[] = [];
    for (const ask of [() => namesAt(url), () => filesAt(url).size(url)]) {
      await ask().catch((error) => {
        if (!isFailure(error)) throw error;
        messages.push(error.message);
      });
    }
    return messages.join("\n");
  };
  try {
    const none = await said({}, "az://bucket/x");
    assert.match(none, /account.*Set AZURE_STORAGE_ACCOUNT.*\n.*Set AZURE_STORAGE_ACCOUNT/);
    const connection = "AccountName=me;AccountKey=no base64, SECRET;BlobEndpoint=http://127.0.0.1:1/me";
    const garbled = await said({ AZURE_STORAGE_CONNECTION_STRING: connection }, "az://bucket/x");
    assert.match(garbled, /does not take what the environment says \(account key\)/);
    assert.not.match(garbled, /SECRET/);
    assert.match(await said({ AWS_CONFIG_FILE: "/nonexistent" }, "s3://bucket/x"), /Set AWS_REGION/);
    const isOffline = { AWS_EC2_METADATA_DISABLED: "true", AWS_CONFIG_FILE: "/nonexistent", AWS_SHARED_CREDENTIALS_FILE: "/nonexistent" };
    assert.match(await said({ AWS_ENDPOINT_URL: "http://127.0.0.1:1", ...isOffline }, "s3://bucket/x"), /no credentials for it were found/);
  } finally {
    restore(before);
  }
});

test.run();
