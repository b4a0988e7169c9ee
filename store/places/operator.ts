/**
 * The client of buckets, opendal: an optional package, loaded when the first URL is used. Credentials come from where each cloud's
 * tools look.
 */
import type { Operator } from "opendal";
import { Failure } from "../../schemas/failure.ts";
import { type Place, placeOf } from "./place.ts";

/** A client, and the same that makes requests again itself: those of a series, whose state only it knows. */
interface Clients {
  operator: Operator;
  persistent: Operator;
}

const opened = new Map<string, Promise<Clients>>();

/**
 * The clients of the bucket of a URL, which wait for an answer to a request with `bytes` for 10 seconds and one more for each
 * megabyte. Throws a Failure where opendal is not installed or does not load.
 */
export async function operatorOf(url: string, bytes = 0): Promise<Clients & { key: string }> {
  const place = placeOf(url);
  const size = 2 ** Math.ceil(Math.log2(Math.max(1 / 8, bytes / 1e6))); // in megabytes: one client for sizes alike
  const name = [place.service, place.bucket, size].join(" ");
  const clients = opened.get(name) ?? open(place, url, size);
  opened.set(name, clients);
  clients.catch(() => opened.delete(name));
  return { ...(await clients), key: place.key };
}

/** Forgets the clients: for who has changed the environment, from which they took endpoint and credentials. */
export function forgetOperators(): void {
  opened.clear();
}

async function open(place: Place, url: string, megabytes: number): Promise<Clients> {
  const { Operator, RetryLayer, TimeoutLayer } = await loaded(url);
  const seconds = Number(process.env.ONESTEP_STORE_TIMEOUT) || 10;
  const timeout = new TimeoutLayer();
  timeout.timeout = seconds * 1000;
  timeout.ioTimeout = Math.round((seconds + megabytes) * 1000);
  const retry = new RetryLayer();
  retry.maxTimes = 6;
  retry.jitter = true;
  retry.minDelay = 100;
  retry.maxDelay = 5000;
  try {
    const operator = new Operator(place.service, optionsOf(place)).layer(timeout.build());
    return { operator, persistent: operator.layer(retry.build()) };
  } catch (error) {
    throw new Failure(`Cannot use ${url}: ${unusable((error as Error).message)}.`);
  }
}

/** Why a client cannot be made, and the remedy: of opendal's message the name of an option alone, for the rest may quote a key. */
function unusable(message: string): string {
  if (/region is missing/.test(message)) {
    return "nothing says which region its bucket is in. Set AWS_REGION, as in AWS_REGION=eu-central-1";
  }
  if (/endpoint is empty/.test(message)) {
    return "nothing says which account its container is in. Set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING";
  }
  const [, option = "an option"] = /\bkey: (\w+)/.exec(message) ?? [];
  return `its client does not take what the environment says (${option.replaceAll("_", " ")}). Look at the variables of its cloud`;
}

/** The address that the bucket of a URL is asked at, where it was told; nothing else that may stand in it. */
export function addressOf(url: string): string | undefined {
  const { endpoint } = optionsOf(placeOf(url));
  const address = endpoint && (endpoint.includes("://") ? endpoint : `https://${endpoint}`);
  return address && URL.canParse(address) ? new URL(address).origin : undefined;
}

/** What opendal is told of a bucket; of credentials only what it does not look for by itself. */
function optionsOf({ service, bucket }: Place): Record<string, string> {
  const { env } = process;
  const given = (options: Record<string, string | undefined>) =>
    Object.fromEntries(Object.entries(options).filter((pair): pair is [string, string] => Boolean(pair[1])));
  if (service === "s3") {
    const endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL;
    const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || (endpoint && "us-east-1");
    const isOffline = env.AWS_EC2_METADATA_DISABLED === "true" ? "true" : undefined;
    return given({ bucket, root: "/", checksum_algorithm: "crc32c", endpoint, region, disable_ec2_metadata: isOffline });
  }
  if (service === "gcs") {
    const host = env.STORAGE_EMULATOR_HOST;
    const endpoint = host && (host.includes("://") ? host : `http://${host}`);
    const anonymous = endpoint && "true";
    const rest = { allow_anonymous: anonymous, disable_vm_metadata: anonymous, disable_config_load: anonymous };
    return given({ bucket, root: "/", endpoint, ...rest });
  }
  const written = Object.fromEntries(
    (env.AZURE_STORAGE_CONNECTION_STRING ?? "").split(";").map((pair) => pair.split(/=(.*)/s).slice(0, 2)),
  );
  const account = env.AZURE_STORAGE_ACCOUNT || env.AZURE_STORAGE_ACCOUNT_NAME || written.AccountName;
  return given({
    ...{ container: bucket, root: "/", account_name: account },
    account_key: env.AZURE_STORAGE_KEY || env.AZURE_STORAGE_ACCOUNT_KEY || written.AccountKey,
    sas_token: env.AZURE_STORAGE_SAS_TOKEN || written.SharedAccessSignature,
    endpoint: written.BlobEndpoint || (account && `https://${account}.blob.core.windows.net`),
  });
}

async function loaded(url: string): Promise<typeof import("opendal")> {
  try {
    return await import("opendal");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isMissing = code === "ERR_MODULE_NOT_FOUND" && message.includes("'opendal'");
    const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
    const glibc = /GLIBC_/.test(`${message} ${(error as Error).cause}`);
    const reason = isMissing
      ? "the package opendal, which reads and writes buckets, is not installed"
      : glibc
        ? `the opendal that is installed needs a newer glibc than this system's ${header.glibcVersionRuntime}`
        : `opendal does not load here (${message.split("\n")[0]})`;
    throw new Failure(`Cannot use ${url}: ${reason}. Run npm install opendal@0.49.2, then the same command again.`, { cause: error });
  }
}
