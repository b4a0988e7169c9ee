/** The programs of published.py on our side, from the folders that it saved. */
import { join } from "node:path";
import type { Engine } from "../../../engine/engine.ts";
import { type Tensor, tf } from "../../../engine/tfjs.ts";
import { effective, initAdapter } from "../../../models/training/adapters.ts";
import { readPart } from "../../../stages/published/part.ts";
import { declared, feedsOf, meanSquare, type Step, train } from "./step.ts";

const RANK = 16;
const adapter = { lora: { rank: RANK, alpha: RANK, targets: ["\\.to_[qkv]\\.kernel$", "\\.to_out\\.0\\.kernel$"] } };

/** Inputs of one call: what is fed, and the rest of what the published class takes. */
function inputsOf(name: string): { shapes: Record<string, number[]>; others: () => Record<string, Tensor> } {
  if (name === "clip-l") return { shapes: {}, others: () => ({ input_ids: tf.tensor2d(ids(77), [1, 77], "int32") }) };
  const isPixart = name.startsWith("pixart");
  const width = { sd15: 768, "sd15-quarter": 192, pixart: 4096, "pixart-quarter": 1024 }[name] as number;
  return {
    shapes: { [isPixart ? "hidden_states" : "sample"]: [1, 64, 64, 4], encoder_hidden_states: [1, isPixart ? 120 : 77, width] },
    others: () => ({ timestep: tf.tensor1d([500]) }),
  };
}

const ids = (length: number): number[] => Array.from({ length }, (_, i) => (i * 577) % 49000);

/** A forward pass of the network `name`, or a training step of a LoRA of its attention where the name ends so. */
export async function publishedStep(engine: Engine, named: string): Promise<Step> {
  const name = named.replace(/-lora$/, "");
  const { network, weights } = await readPart(join(process.env.PUBLISHED as string, name));
  const { shapes, others } = inputsOf(name);
  if (name !== named) {
    const { trained, frozen } = initAdapter({ weights, adapter, groups: {}, seed: 0 });
    return train(engine, {
      weights: trained,
      frozen,
      shapes: { ...shapes, target: [1, 64, 64, name.startsWith("pixart") ? 8 : 4] },
      loss: (parameters, { target, ...inputs }, kept) => {
        const whole = effective({ trained: parameters, frozen: kept, adapter });
        return meanSquare(
          network.forward(whole, { ...(inputs as Record<string, Tensor>), ...others() }, "").out as Tensor,
          target as Tensor,
        );
      },
      adam: true,
    });
  }
  const { run } = await engine.compile({
    name: "forward",
    sets: { network: engine.constants("network", weights) },
    inputs: declared(shapes),
    run: (sets, inputs) => ({ outputs: network.forward(sets.network, { ...(inputs as Record<string, Tensor>), ...others() }, "") }),
  });
  const feeds = feedsOf(shapes);
  return () => run(feeds);
}
