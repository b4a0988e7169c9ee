/** The groups of settings that say what a model is: what a job takes over from the run that it is given. */
export const model = ["images", "encoder", "network", "diffusion"] as const;
