/**
 * The noise level that stands for an infinite one. In EDM coordinates a state without signal has no finite x, but what the
 * network is given, cIn x = (clean + sigma epsilon) / sqrt(1 + sigma^2), differs here from epsilon by clean / 1e8: less than
 * half a unit in the last place (2^-24) of float32 numbers of size 1.
 */
export const SIGNAL_FREE = 1e8;
