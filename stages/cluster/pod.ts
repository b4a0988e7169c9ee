/** What a pod is given beside its command: a volume, the namespace's secrets and accounts, a node, and room on that node's disk. */
import { posix } from "node:path";
import { badUsage } from "../../schemas/failure.ts";
import { isUrl } from "../../store/places/place.ts";
import { type Amount, amountOf } from "./job.ts";

export interface Pod {
  /** The container image that has onestep. */
  image: string;
  /** A claim of the volume that holds folders of the command, and where they find it. */
  claim: { name: string; path: string } | undefined;
  /** A secret whose entries become variables, as credentials of a bucket. */
  secret: string | undefined;
  /** A service account, by which a cloud knows who asks. */
  account: string | undefined;
  /** A label of the nodes that may run it. */
  node: { key: string; value: string } | undefined;
  /** Room for what is kept of buckets; undefined where the command names none. */
  cache: Amount | undefined;
  /** The scheme of the buckets it names: s3, gs, az. */
  schemes: readonly string[];
  /** What the command reads by a path that is on no volume, so that the image must have it. */
  inImage: readonly string[];
}

type Flags = Readonly<Record<string, string | undefined>>;

const word = "[A-Za-z0-9](?:[\\w.-]{0,61}[A-Za-z0-9])?";
const label = new RegExp(`^((?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?${word})=((?:${word})?)$`);
const objectName = /^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?$/;

/** Flags of simulate and train that name what is read. */
const READ = ["teacher", "store", "conditions", "prompts", "config"];

/**
 * What the flags of `pipeline cluster kubernetes` give a pod. Throws a usage failure where one is none, and where the command would write
 * its output beside all volumes: it would go with the pod, and each of many tasks would make the whole of it.
 *
 * @param asked - the flags of the command that it runs, and those of them that may be repeated
 */
export function podOf({ flags, asked, repeated }: { flags: Flags; asked: Flags; repeated: Readonly<Record<string, string[]>> }): Pod {
  const { image, secret, account, node } = flags;
  if (image === undefined) throw badUsage("Missing --image IMAGE of cluster: name the container image that has onestep");
  if (/\s/.test(image)) throw badUsage(`Cannot use --image "${image}": an image's name has no spaces, as in registry/onestep:1`);
  for (const [flag, name] of Object.entries({ secret, account })) {
    if (name !== undefined && !objectName.test(name)) {
      throw badUsage(`Cannot use --${flag} "${name}": expected the name of one in the namespace, as in bucket`);
    }
  }
  const [, key = "", value = ""] = (node !== undefined && label.exec(node)) || [];
  if (node !== undefined && key === "") {
    throw badUsage(`Cannot use --node "${node}": expected a label of nodes, as in nvidia.com/gpu.product=NVIDIA-L40S`);
  }
  const claim = flags.claim === undefined ? undefined : claimOf(flags.claim);
  checkVolume(asked, claim);
  const read = [...READ.map((flag) => asked[flag]), ...(repeated.lora ?? []).map((file) => file.replace(/:[\d.]+$/, ""))];
  const named = [...read, asked.out].filter((path) => path !== undefined);
  const schemes = [...new Set(named.filter(isUrl).map((url) => url.replace(/:.*/s, "").toLowerCase()))];
  const keeps = schemes.length > 0 && asked.cache === undefined;
  if (flags.disk !== undefined && !keeps) {
    const why = schemes.length === 0 ? "the command names no bucket" : `the command keeps it in --cache ${asked.cache}`;
    throw badUsage(`Cannot set --disk, the room for what is kept of a bucket: ${why}; leave it out`);
  }
  return {
    ...{ image, claim, secret, account, schemes },
    node: node === undefined ? undefined : { key, value },
    cache: keeps ? amountOf("disk", flags.disk ?? "30G") : undefined,
    inImage: [...new Set(named.filter((path) => path !== asked.out && !isUrl(path) && !isOn(path, claim)))],
  };
}

/** `NAME:/PATH`, by its shortest name. */
function claimOf(text: string): { name: string; path: string } {
  const [, name = "", path = ""] = /^([^:]+):(\/[^:]*)$/.exec(text) ?? [];
  const shortest = posix.normalize(path).replace(/\/$/, "");
  if (objectName.test(name) && shortest !== "" && path !== "") return { name, path: shortest };
  const remedy =
    objectName.test(name) && path !== "" ? "a folder below / that the volume takes the place of" : "NAME:/PATH, as in data:/data";
  throw badUsage(`Cannot use --claim "${text}": expected ${remedy}`);
}

/** Whether a path lies on the claim's volume. */
const isOn = (path: string, claim: Pod["claim"]): boolean =>
  claim !== undefined && `${posix.normalize(path)}/`.startsWith(`${claim.path}/`);

function checkVolume({ out }: Flags, claim: Pod["claim"]): void {
  if (out === undefined || isUrl(out) || isOn(out, claim)) return;
  const remedy = claim ? `a path in ${claim.path}` : "a volume, as with --claim data:/data and --out /data/triples";
  throw badUsage(`Cannot write --out ${out} in a pod: it is on no volume, and goes when the pod ends; name a URL, or ${remedy}`);
}
