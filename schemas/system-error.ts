/**
 * Errors of the operating system as sentences: the only place that maps errno. Whoever meets such an error lets it rise
 * as it is, and the command line asks here what to say.
 */
import { constants } from "node:os";
import { Failure, isFailure } from "./failure.ts";
import { visible } from "./visible.ts";

/** What a system call attempts: in words, and whether it would have changed something. */
interface Attempt {
  words: string;
  changes: boolean;
}

/** Why it failed, and what to do; a remedy may depend on what was attempted. */
type Reason = (attempt: Attempt) => { why: string; remedy: string };

interface SystemError extends Error {
  code?: string;
  errno?: number;
  syscall?: string;
  path?: string;
  dest?: string;
  address?: string;
  port?: number;
}

const writing: Attempt = { words: "write", changes: true };

const attempts: [names: RegExp, attempt: Attempt][] = [
  [/^f?write|^pwrite|^writev|^appendfile|^f(data)?sync|^f?truncate|^rename|^copyfile|^link|^symlink/, writing],
  [/^mk(dir|dtemp)/, { words: "make the folder", changes: true }],
  [/^unlink|^rm|^rmdir/, { words: "remove", changes: true }],
  [/^f?ch(mod|own)|^f?utime/, { words: "change", changes: true }],
  [/^scandir|^opendir|^readdir/, { words: "list the folder", changes: false }],
  [/^listen|^bind/, { words: "listen at", changes: false }],
  [/^connect|^getaddrinfo/, { words: "connect to", changes: false }],
  [/^spawn|^fork|^uv_spawn|^kill/, { words: "start", changes: false }],
];

const opening: Attempt = { words: "open", changes: false }; // to read or to write: the call does not tell
const reading: Attempt = { words: "read", changes: false };

const said =
  (why: string, remedy: string): Reason =>
  () => ({ why, remedy });

const space = "Free some space and run the same command again; everything finished is kept";
const elsewhere: Reason = ({ changes }) => ({
  why: "permission is denied",
  remedy: changes ? "Make the folder writable or choose another with --out" : "Give this user the right to it, or name another",
});
const unsupported = said("this file system does not support that", "Choose a folder on another disk");
const network = said("the network does not answer", "Check the address and the connection, and run the same command again");

/** By the names that the operating system's headers give them. */
const reasons: Readonly<Record<string, Reason>> = {
  ENOSPC: said("the disk is full", space),
  EDQUOT: said("the disk quota is used up", space),
  EIO: said("the disk reports an input/output error", "Check the disk (its cable, its mount, `dmesg`) and run the same command again"),
  EREMOTEIO: said("the disk reports an input/output error", "Check the disk and run the same command again"),
  EROFS: said("the file system is read-only", "Choose another folder with --out, or mount it writable"),
  EACCES: elsewhere,
  EPERM: elsewhere,
  ENOENT: ({ changes }) =>
    changes
      ? { why: "its folder is gone, or takes no files", remedy: "Run the same command again, or choose another folder" }
      : { why: "there is no such file or folder", remedy: "Check its name" },
  EISDIR: said("a folder stands there, not a file", "Name a file, or move the folder away"),
  ENOTDIR: said("a file stands where a folder is needed", "Name a folder, or move the file away"),
  EEXIST: said("something of that name stands there already", "Choose another name, or move it away"),
  ENOTEMPTY: said("the folder is not empty", "Choose another, or end the program that writes there"),
  ENAMETOOLONG: said("the name is too long for the file system", "Choose a shorter one"),
  ELOOP: said("its symbolic links lead in a circle", "Name the folder itself"),
  EMLINK: said("there are too many links to it", "Choose another folder"),
  EXDEV: said("its two names lie on different file systems", "Choose a folder whose parts are on one disk"),
  EBUSY: said("another program is using it", "End that program, or choose another name"),
  ETXTBSY: said("it is a program that is running", "End it, or choose another name"),
  EAGAIN: said("the system has no resources left for it", "End other programs and run the same command again"),
  EMFILE: said("this program may open no more files", "Raise the limit with `ulimit -n 4096` and run the same command again"),
  ENFILE: said("the system may open no more files", "End other programs and run the same command again"),
  ENOMEM: said("memory ran out", "Lower the batch or the rows a shard, or end other programs"),
  EFBIG: said("the file is larger than this system allows", "Use smaller shards"),
  EOVERFLOW: said("the file is larger than this system can read", "Use smaller files"),
  ESTALE: said("the network file system has lost hold of it", "Mount it again and run the same command again"),
  ENODEV: said("its device is gone", "Check the disk and run the same command again"),
  ENXIO: said("its device is gone", "Check the disk and run the same command again"),
  ENOTCONN: said("its file system is no longer mounted", "Mount it again and run the same command again"),
  EHOSTDOWN: network,
  ENOTSUP: unsupported,
  EOPNOTSUPP: unsupported,
  ENOSYS: unsupported,
  EINVAL: said("the file system does not allow that there", "Choose an ordinary file or folder"),
  ENOLCK: said("the file system has no locks left", "Choose a folder on another disk"),
  EPIPE: said("whoever was to read it is gone", "Run the same command again"),
  EADDRINUSE: said("the port is taken", "Choose another with --port"),
  EADDRNOTAVAIL: said("this machine has no such address", "Choose another"),
  ECONNREFUSED: network,
  ECONNRESET: network,
  ETIMEDOUT: network,
  EHOSTUNREACH: network,
  ENETUNREACH: network,
  ENETDOWN: network,
  ENOTFOUND: network,
  EAI_AGAIN: network,
};

/** Errors of Node, V8 and the thread pool that say what a machine or file lacks, and are no mistake of the program. */
const limits: [sign: RegExp, why: string, remedy: string][] = [
  [/^ERR_FS_FILE_TOO_LARGE$/, "the file is larger than the 2 GiB that can be read at once", "Use smaller files or shards"],
  [
    /^ERR_(WORKER_OUT_OF_MEMORY|MEMORY_ALLOCATION_FAILED)$|array buffer allocation failed|heap out of memory|bad_alloc/i,
    "memory ran out",
    "Lower the batch settings or rowsPerShard, or end other programs",
  ],
  [/^ERR_STRING_TOO_LONG$|^Invalid string length$/, "a text is longer than 512 MB", "Use smaller files, or lower rowsPerShard"],
  [/without null bytes/, "a path holds a null byte", "Check the paths in the settings"],
];

/**
 * The failure that tells of an error of the operating system, or of what holds one (as its cause, or among several);
 * undefined for any other error.
 */
export function systemError(error: unknown): Failure | undefined {
  for (const each of within(error)) {
    const message = sentenceOf(each);
    if (message !== undefined) return new Failure(message, { cause: error });
  }
  return undefined;
}

/** Why the system refused, in words, for whoever says the rest of the sentence; undefined for any other error. */
export function systemReason(error: unknown): string | undefined {
  const name = error instanceof Error ? nameOf(error) : undefined;
  return name === undefined ? undefined : reasonOf(name, attemptOf(error as SystemError, name)).why;
}

/** For `catch`: undefined where nothing of that name is there. Any other error rises: what cannot be read is not empty. */
export function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

/**
 * What to throw for an error met in writing `path`: the failure that names it where the operating system refused (a handle's
 * errors name no path, and those of a temporary file name that), else the error itself.
 */
export function writeError(path: string, error: unknown): unknown {
  if (isFailure(error)) return error;
  const met = [...within(error)].find((each) => nameOf(each) !== undefined);
  if (!met) return error;
  const { code, errno } = met;
  return systemError(Object.assign(new Error(met.message, { cause: error }), { code, errno, path, syscall: "write" })) ?? error;
}

/** An error, what caused it, and those it gathers; each once. */
function* within(error: unknown, seen = new Set<unknown>()): Generator<SystemError> {
  if (!(error instanceof Error) || seen.has(error)) return;
  seen.add(error);
  yield error;
  yield* within(error.cause, seen);
  for (const inner of (error as { errors?: unknown[] }).errors ?? []) yield* within(inner, seen);
}

function sentenceOf(error: SystemError): string | undefined {
  const name = nameOf(error);
  if (name !== undefined) {
    const attempt = attemptOf(error, name);
    const { why, remedy } = reasonOf(name, attempt);
    return `Cannot ${attempt.words} ${placeOf(error, attempt)}: ${why}. ${remedy}.`;
  }
  const { code = "", message } = error;
  const [, why, remedy] = limits.find(([sign]) => sign.test(code) || sign.test(message)) ?? [];
  return why === undefined ? undefined : `Cannot go on${error.path ? ` with ${shown(error.path)}` : ""}: ${why}. ${remedy}.`;
}

const reasonOf = (name: string, attempt: Attempt) =>
  reasons[name]?.(attempt) ?? { why: `the system answers ${name}`, remedy: "Run the same command again" };

/** The errno's name: by its code, or, where libuv does not know it (a quota), by its number. */
function nameOf({ code, errno }: SystemError): string | undefined {
  if (code !== undefined && (Object.hasOwn(constants.errno, code) || Object.hasOwn(reasons, code))) return code;
  if (typeof errno !== "number") return undefined;
  const [name] = Object.entries(constants.errno).find(([, number]) => number === Math.abs(errno)) ?? [];
  return name ?? `error ${Math.abs(errno)}`;
}

/** Errors that only those meet who write: they tell what a file was opened for. */
const ofWriters = ["ENOSPC", "EDQUOT", "EROFS", "EEXIST", "EFBIG", "ETXTBSY"];

function attemptOf({ syscall = "" }: SystemError, name: string): Attempt {
  const [, attempt] = attempts.find(([names]) => names.test(syscall)) ?? [];
  if (attempt) return attempt;
  if (ofWriters.includes(name)) return writing;
  return /^open/.test(syscall) ? opening : reading;
}

function placeOf({ path, dest, address, port, syscall = "" }: SystemError, { words }: Attempt): string {
  if (address !== undefined) return port === undefined ? address : `${address}:${port}`;
  const place = dest ?? path;
  if (place !== undefined) return shown(place);
  return words === "start" ? syscall.replace(/^spawn /, "") || "a program" : "a file";
}

const shown = (path: string): string => visible(String(path), 300);
