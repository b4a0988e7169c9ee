/** Errors of another thread: cloning keeps their messages and leaves their fields behind, which come beside them. */

/** The fields of an error that cloning leaves behind, of what caused it and of those it gathers. */
export interface Carried {
  details?: object;
  cause?: Carried;
  errors?: { error: unknown; carried: Carried }[];
}

/**
 * An error as it was thrown in the worker: its code and path, and those of what caused it, tell people what happened.
 *
 * @example
 * import { withCarried } from "./carried.ts";
 * const error = withCarried(new Error("no such file"), { details: { code: "ENOENT" } }) as NodeJS.ErrnoException;
 * assert.equal(error.code, "ENOENT");
 */
export function withCarried(error: unknown, { details, cause, errors }: Carried): Error {
  const whole = Object.assign(Object(error), details) as Error & { errors?: Error[] };
  if (cause) whole.cause = withCarried(whole.cause, cause);
  if (errors) whole.errors = errors.map((each) => withCarried(each.error, each.carried));
  return whole;
}
