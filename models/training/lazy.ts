/**
 * Lazy regularisation (Karras et al. 2020, appendix B; docs/METHODS.md 9.11): a discriminator's R1 is an update of its own in one step
 * of `every`, the first among them, and weighs as much more.
 */

/** Whether step `step`, counted from the first that has a discriminator, has a penalty. */
export const isPenalised = (step: number, every: number): boolean => step % every === 0;

/** The discriminator's updates before its own in step `step`: one a step, and the penalties so far. */
export const updatesBefore = (step: number, every: number): number => step + Math.ceil(step / every);

/** What its learning rate is multiplied with, and its betas raised to, as there is one update in `every` more: every / (every + 1). */
export const lazyShare = (every: number): number => every / (every + 1);

/** The factor of ||grad D||^2 in the loss: gamma / 2 in each step, taken at once in one of `every`. */
export const penaltyWeight = (gamma: number, every: number): number => (gamma / 2) * every;
