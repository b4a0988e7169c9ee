/** How often each code of a tokenizer stands in tokens. */
import { numberInWords } from "../../schemas/words.ts";

export interface CodeCounts {
  codes: number;
  /** Codes that stand anywhere. */
  used: number;
  /** exp(-sum p ln p) of their shares: as many codes, used equally often, would carry as much. */
  perplexity: number;
  /** Tokens that are no code. */
  beyond: number;
}

/** Counts tokens; `codes` is how many there are, as the store says. */
export function createCodeCounts(codes: number): { add: (tokens: ArrayLike<number>) => void; counts: () => CodeCounts } {
  const times = new Float64Array(codes);
  let [all, beyond] = [0, 0];
  return {
    add: (tokens) => {
      for (let i = 0; i < tokens.length; i++) {
        const token = tokens[i] as number;
        if (token >= 0 && token < codes) times[token]! += 1;
        else beyond++;
      }
      all += tokens.length;
    },
    counts: () => {
      const counted = Math.max(1, all - beyond);
      const entropy = times.reduce((sum, count) => (count > 0 ? sum - (count / counted) * Math.log(count / counted) : sum), 0);
      return { codes, used: times.reduce((sum, count) => sum + Math.min(1, count), 0), perplexity: Math.exp(entropy), beyond };
    },
  };
}

/** As in `310 of 512, perplexity 201.4`. */
export const codesInWords = ({ codes, used, perplexity }: CodeCounts): string =>
  `${used} of ${codes}, perplexity ${numberInWords(Number(perplexity.toPrecision(4)))}`;
