/** Known ways in which a game against a discriminator goes wrong. They read the figures d_accuracy, d_real, d_fake and d_norm. */
import { type FigureGroup, type Figures, type Rule, valuesOf } from "../../schemas/figures.ts";
import { numberInWords } from "../../schemas/words.ts";
import { exploding } from "./descent.ts";
import { mean, percent, recent } from "./statistics.ts";

/** Figures of a discriminator by the names that the rules read. */
export const discriminatorFigures: readonly FigureGroup[] = [
  {
    title: "Discriminator's logits",
    label: "mean logit",
    figures: { d_real: "real", d_fake: "generated", d_mismatched: "mismatched" },
    section: "discriminator",
  },
  { title: "Discriminator's loss", label: "loss", figures: { d_loss: "loss" }, section: "discriminator" },
  { title: "Discriminator's accuracy", label: "share of right verdicts", figures: { d_accuracy: "accuracy" }, section: "discriminator" },
  { title: "Discriminator's gradient norm", label: "norm", figures: { d_norm: "norm" }, log: true, section: "discriminator" },
];

/** A discriminator's program's figures by those names. */
export const ofDiscriminator = (figures: Figures): Figures =>
  Object.fromEntries(Object.entries(figures).map(([name, value]) => [`d_${name}`, value]));

/** What to try, in the words of the method's own settings. */
export interface AdversarialRemedies {
  saturated: string;
  swinging: string;
  collapsed: string;
  exploding: string;
}

/** Rules for a training against a discriminator; `rare` names figures that only some steps have. */
export function adversarialFindings(remedies: AdversarialRemedies, rare: readonly string[] = []): Rule[] {
  const norms = exploding({ figure: "d_norm", words: "discriminator's gradient norm", remedy: remedies.exploding, rare });
  return [saturated(remedies.saturated), swinging(remedies.swinging), collapsed(remedies.collapsed), norms];
}

/** Lines (of ten steps each) over which a discriminator's verdict is averaged. */
const VERDICTS = 20;

/** It is right about nearly everything: the generator's gradient through it says little. Even odds are 0.5. */
function saturated(remedy: string): Rule {
  return (history) => {
    const accuracy = recent(history, "d_accuracy", VERDICTS);
    if (accuracy.length < VERDICTS || mean(accuracy) < 0.97) return undefined;
    const [real, fake] = ["d_real", "d_fake"].map((name) => numberInWords(mean(recent(history, name, VERDICTS))));
    const share = percent(mean(accuracy));
    return {
      name: "discriminator saturated",
      seen: `the discriminator is right in ${share} of cases (mean logits ${real} for real, ${fake} for generated)`,
      remedy,
    };
  };
}

/**
 * It takes everything for real, then everything for generated: the middle between its mean logits moves further than they
 * are apart. Each of its updates overshoots, and it learns nothing else.
 */
function swinging(remedy: string): Rule {
  return (history) => {
    const lines = history
      .slice(-2 * VERDICTS)
      .filter((line) => line.d_real !== undefined && line.d_fake !== undefined)
      .slice(-VERDICTS);
    if (lines.length < VERDICTS) return undefined;
    const middles = lines.map(({ d_real, d_fake }) => ((d_real as number) + (d_fake as number)) / 2);
    const apart = mean(lines.map(({ d_real, d_fake }) => ((d_real as number) - (d_fake as number)) / 2));
    const swing = Math.sqrt(mean(middles.map((middle) => (middle - mean(middles)) ** 2)));
    if (swing < 0.2 || swing < apart) return undefined;
    const [swung, between] = [numberInWords(swing), numberInWords(2 * apart)];
    const seen = `the discriminator's logits swing together by ${swung} from line to line, and are ${between} apart`;
    return { name: "discriminator swinging", seen, remedy };
  };
}

/**
 * The spread of the samples in feature space is half of the real images' or less, or a quarter below what it was, twice
 * in a row. Blur lowers it too, so the first measurements (a training starts blurred) are only compared with each other.
 */
function collapsed(remedy: string): Rule {
  return (history) => {
    const values = valuesOf(history, "diversity");
    const [before, last] = [values.slice(0, -2).map(({ value }) => value), values.slice(-2).map(({ value }) => value)];
    if (before.length < 2 || last.length < 2) return undefined;
    const most = Math.max(...before);
    if (!last.every((value) => value < 0.5 || (value < 0.85 && value < 0.75 * most))) return undefined;
    const seen = `the samples' spread is ${numberInWords(last[1]!)} of the real images', after ${numberInWords(most)} before`;
    return { name: "collapse of diversity", seen, remedy };
  };
}
