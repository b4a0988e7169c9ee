/** The formats of shards, by the ending of their files. */
import type { Manifest } from "../../schemas/manifest.ts";
import { arrowShards } from "./arrow-shard.ts";
import { parquetShards } from "./parquet-shard.ts";
import type { ShardFormat } from "./shard-format.ts";

const formats: Readonly<Record<string, ShardFormat>> = { parquet: parquetShards, arrow: arrowShards };

/** All endings. */
export const extensions: readonly string[] = Object.keys(formats);

/** The ending of a store's shards, which names their format. */
export const extensionOf = ({ shardFormat }: Manifest): string => shardFormat ?? "parquet";

/** The format of files with this ending; Parquet where there is none of that name. */
export const formatNamed = (extension: string): ShardFormat => formats[extension] ?? parquetShards;

/** The format of a store's shards. */
export const formatOf = (manifest: Manifest): ShardFormat => formatNamed(extensionOf(manifest));
