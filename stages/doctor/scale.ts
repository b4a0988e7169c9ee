/** What a simulation on many machines takes: bytes, shards, hours, requests and dollars, by formulas. */

/** What a row of triples is made of, in bytes beside the latent: ids, seed, checksums and what Parquet adds; a prompt of usual length. */
const ROW = 44;
const TEXT = 70;

/** Of a shard, in bytes: its end, journal entry and failures. */
const SHARD = 10_000;

/** A shard is at most about so large, and takes at most about so long: then its loss and its loading are small. */
const SHARD_BYTES = 48e6;
const SHARD_SECONDS = 360;

/** Of the mean time to a preemption a shard takes at most this share: half of it is what a preemption costs. */
const SHARD_OF_LIFE = 1 / 20;

/** List prices of S3's standard class in its first region, 2026: dollars a GB and month, a request, and a GB that leaves the region. */
const MONTH = 0.023;
const PUT_OR_LIST = 5e-6;
const GET_OR_HEAD = 4e-7;
const LEAVING = 0.09;

/** Seconds between two looks for a shard that is not there yet. */
const POLL = 5;

/** What a row holds: how many numbers its latent, each kept state and its embedding are. */
export interface RowContent {
  values: number;
  states?: number;
  dtype: "float16" | "float32";
  noise: "stored" | "derived";
  embedding?: number;
  isText: boolean;
}

/** Bytes of a row: latent, kept states and embedding as `dtype`, noise always float32. */
export function rowBytesOf(row: RowContent): number {
  const bytes = row.dtype === "float16" ? 2 : 4;
  const noise = row.noise === "stored" ? 4 * row.values : 0;
  return (row.values * (1 + (row.states ?? 0)) + (row.embedding ?? 0)) * bytes + noise + (row.isText ? TEXT : 0) + ROW;
}

/**
 * The power of two nearest to the rows of 48 MB or of 360 seconds, whichever are fewer, and at least a batch. Of devices that are
 * preempted after `preempt` seconds in the mean it is fewer seconds where these are many for them.
 */
export function rowsPerShardOf(options: { rowBytes: number; secondsPerRow: number; batch: number; preempt?: number | undefined }): number {
  const { rowBytes, secondsPerRow, batch, preempt = Number.POSITIVE_INFINITY } = options;
  const rows = Math.min(SHARD_BYTES / rowBytes, Math.min(SHARD_SECONDS, preempt * SHARD_OF_LIFE) / secondsPerRow);
  return Math.max(batch, 2 ** Math.max(0, Math.round(Math.log2(rows))));
}

export interface ScaleJob {
  rows: number;
  rowBytes: number;
  /** Bytes of a row in a trainer, which reads halves as float32. */
  heldBytes: number;
  /** Shards from which a trainer shuffles one block of batches. */
  window: number;
  rowsPerShard: number;
  secondsPerRow: number;
  devices: number;
  /** Dollars a device and hour. */
  price: number;
  /** Of all trainings that read the store. */
  epochs: number;
  /** Time over that of work which is shared perfectly. */
  overIdeal: number;
  /** Seconds that a worker loads. */
  load: number;
}

export interface Scale {
  bytes: number;
  shards: number;
  shardBytes: number;
  secondsPerShard: number;
  deviceHours: number;
  /** Of work that is shared perfectly. */
  idealHours: number;
  hours: number;
  requests: { put: number; list: number; get: number; head: number };
  /** In dollars; `month` for every month that the store is kept, `leaving` for one epoch that is read outside its region. */
  dollars: { devices: number; requests: number; month: number; leaving: number };
  /** Bytes that a trainer holds of the store: two windows. */
  trainerBytes: number;
}

/** The figures of a job. */
export function scaleOf(job: ScaleJob): Scale {
  const { rows, rowBytes, heldBytes, window, rowsPerShard, secondsPerRow, devices, price, epochs, overIdeal, load } = job;
  const shards = Math.ceil(rows / rowsPerShard);
  const bytes = rows * rowBytes + SHARD * shards;
  const deviceHours = (rows * secondsPerRow) / 3600;
  const idealHours = deviceHours / devices;
  const hours = idealHours * overIdeal + load / 3600;
  const requests = {
    put: 2 * shards + 5,
    list: Math.ceil(shards / 1000) * (devices + 2),
    get: shards * (1 + epochs),
    head: Math.round((hours * 3600) / POLL),
  };
  const shardBytes = Math.min(rows, rowsPerShard) * rowBytes + SHARD;
  return {
    ...{ bytes, shards, shardBytes, deviceHours, idealHours, hours, requests },
    secondsPerShard: rowsPerShard * secondsPerRow,
    dollars: {
      devices: deviceHours * price,
      requests: (requests.put + requests.list) * PUT_OR_LIST + (requests.get + requests.head) * GET_OR_HEAD,
      month: (bytes / 1e9) * MONTH,
      leaving: (bytes / 1e9) * LEAVING,
    },
    trainerBytes: Math.min(rows, 2 * window * rowsPerShard) * heldBytes,
  };
}
