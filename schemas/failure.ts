/**
 * A failure a user can act on: one sentence that names the attempted action, the value, the place and the remedy.
 * The command line prints the message alone (no stack) and exits with `exitCode`:
 * 1 the work failed, 2 the request itself was wrong.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly exitCode: 1 | 2;

  constructor(message: string, options: { exitCode?: 1 | 2; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
  }
}

/** A wrong request: unknown command, bad flag, impossible setting. Exit code 2. */
export function badUsage(message: string): Failure {
  return new Failure(message, { exitCode: 2 });
}

/** Whether an error is a failure a user can act on, also where it crossed from a worker thread and lost its class. */
export function isFailure(error: unknown): error is Failure {
  return error instanceof Error && error.name === "Failure";
}
