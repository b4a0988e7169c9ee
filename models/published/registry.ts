/** Every published network that is understood, by the class name that its config gives. */
import { Failure } from "../../schemas/failure.ts";
import { didYouMean } from "../../schemas/nearest.ts";
import { autoencoderKl } from "../codecs/kl.ts";
import { ditClass } from "../families/dit-class.ts";
import { edm } from "../families/edm.ts";
import { type BoundNetwork, boundNetwork, type PublishedNetwork } from "./network.ts";

// biome-ignore lint/suspicious/noExplicitAny: each network's own config, which nobody outside its file sees
const networks: readonly PublishedNetwork<any>[] = [autoencoderKl, ditClass, edm];

/** The class names of all that are understood. */
export const publishedClasses: readonly string[] = networks.flatMap(({ classes }) => classes);

/** The network of a config.json. Throws a Failure for a class or a value that is not understood. */
export function publishedNetwork({ json, file }: { json: object; file: string }): BoundNetwork {
  const { _class_name: kind, class_name: other, architectures } = json as Record<string, unknown>; // class_name is EDM's
  const name = String(kind ?? other ?? (Array.isArray(architectures) ? architectures[0] : undefined));
  const network = networks.find(({ classes }) => classes.includes(name));
  if (network) return boundNetwork(network, { json, file });
  throw new Failure(
    `Cannot use ${file}: it is of the class "${name}", which is not known here; ${didYouMean(name, publishedClasses, `known are ${publishedClasses.join(", ")}`)}`,
  );
}
