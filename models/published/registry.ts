/** Every published network that is understood, by the class name that its config gives. */
import { Failure } from "../../schemas/failure.ts";
import { didYouMean } from "../../schemas/nearest.ts";
import { autoencoderKl } from "../codecs/kl.ts";
import { ddpm } from "../families/ddpm.ts";
import { ditClass } from "../families/dit-class.ts";
import { edm } from "../families/edm.ts";
import { flux } from "../families/flux.ts";
import { mmdit } from "../families/mmdit.ts";
import { pixart, pixartOld } from "../families/pixart.ts";
import { sdUnet } from "../families/sd-unet.ts";
import { clipText, clipTextWithProjection } from "../text/clip.ts";
import { t5Encoder } from "../text/t5.ts";
import { classOf } from "./folder.ts";
import { type BoundNetwork, boundNetwork, type PublishedNetwork } from "./network.ts";

// biome-ignore lint/suspicious/noExplicitAny: each network's own config, which nobody outside its file sees
const networks: readonly PublishedNetwork<any>[] = [
  autoencoderKl,
  clipText,
  clipTextWithProjection,
  ddpm,
  ditClass,
  edm,
  flux,
  mmdit,
  pixart,
  pixartOld,
  sdUnet,
  t5Encoder,
];

/** The class names of all that are understood. */
export const publishedClasses: readonly string[] = networks.flatMap(({ classes }) => classes);

/** The network of a config.json. Throws a Failure for a class or a value that is not understood. */
export function publishedNetwork({ json, file }: { json: object; file: string }): BoundNetwork {
  const name = classOf(json);
  const network = networks.find(({ classes }) => classes.includes(name));
  if (network) return boundNetwork(network, { json, file });
  const known = `known are ${publishedClasses.join(", ")}`;
  throw new Failure(`Cannot use ${file}: its class "${name}" is not known here; ${didYouMean(name, publishedClasses, known)}`);
}
