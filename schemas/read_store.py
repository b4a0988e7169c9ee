"""Reads and verifies a onestep store with pyarrow and numpy alone: python read_store.py STORE. See README.md beside this file."""
import glob, hashlib, json, os, re, struct, sys, zlib
import numpy as np, pyarrow as pa, pyarrow.parquet as pq

def check(holds, what): holds or sys.exit(f"Cannot trust {what}")

def manifest_of(folder):  # store.json and its fingerprint: the sha256 of all before it, in compact form
    text = open(path := os.path.join(folder, "store.json"), encoding="utf8").read()
    compact = re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda token: token[1] or "", text)
    body, fingerprint = re.fullmatch(r'(.*),"fingerprint":"(.*)"}', compact, re.S).groups()
    check(hashlib.sha256((body + "}").encode()).hexdigest() == fingerprint, path)
    return json.loads(body + "}"), fingerprint

def log(word):  # ln((word + 1/2) / 2^32)
    m, e = np.frexp((2 * word + 1).astype(np.float64))
    m, e = np.where(big := 2 * m > np.sqrt(2), m, 2 * m), e - 1 + big
    f, total = (m - 1) / (m + 1), 1 / 21
    for n in (19, 17, 15, 13, 11, 9, 7, 5, 3, 1): total = 1 / n + f * f * total
    return (e - 33) * 0.6931471805599453 + 2 * f * total

def turn(word, quarters):  # the sine of 2 pi (word + 1/2) / 2^32 + quarters pi / 2
    nearest = ((word + 2**29) >> 30) & 3
    t = ((word - (nearest << 30) + 2**31) % 2**32 - 2**31 + 0.5) * 1.4629180792671596e-9
    s, quadrant, sine, cosine = t * t, (nearest + quarters) & 3, -1 / 1307674368000, -1 / 87178291200
    for n in (6227020800, -39916800, 362880, -5040, 120, -6, 1): sine = 1 / n + s * sine
    for n in (479001600, -3628800, 40320, -720, 24, -2, 1): cosine = 1 / n + s * cosine
    return np.where(quadrant & 2, -1, 1) * np.where(quadrant & 1, cosine, t * sine)

def normals(seed, offset, length, stream=0x6C092771D20768D1):  # Philox4x32-10, Box-Muller; the stream is FNV-1a of "noise"
    block = np.arange(offset // 4, (offset + length + 3) // 4, dtype=np.uint64)
    u, low, half = np.uint64, np.uint64(2**32 - 1), np.uint64(32)
    a, b, c, d = block & low, block >> half, np.full_like(block, stream % 2**32), np.full_like(block, stream >> 32)
    for i in range(10):
        k0, k1 = ((k + i * step) % 2**32 for k, step in ((seed % 2**32, 0x9E3779B9), (seed >> 32, 0xBB67AE85)))
        p, q = a * u(0xD2511F53), c * u(0xCD9E8D57)
        a, b, c, d = (q >> half) ^ b ^ u(k0), q & low, (p >> half) ^ d ^ u(k1), p & low
    pairs = ((np.sqrt(-2 * log(x)), y) for x, y in ((w.astype(np.int64) for w in pair) for pair in ((a, b), (c, d))))
    out = np.stack([radius * turn(angle, quarter) for radius, angle in pairs for quarter in (1, 0)], 1)
    return out.astype(np.float32).reshape(-1)[offset % 4 :][:length]

def crc(row, schema):  # over the columns in order
    parts, text = [], lambda raw: struct.pack("<BI", 1, len(raw)) + raw
    for name, kind in ((field.name, str(field.type)) for field in schema if field.name != "crc32"):
        if kind.startswith("fixed"): parts.append(row[name])
        elif row[name] is None: parts.append(b"\0")
        elif kind == "string": parts.append(text(row[name].encode()))
        elif kind == "int32": parts.append(b"\1" + struct.pack("<i", row[name]))
        else: parts.append(struct.pack("<Q" if kind == "uint64" else "<q", row[name]))
    return zlib.crc32(b"".join(parts))

def parts(path):  # of a shard: its metadata, and what it holds, some 4 MB at a time
    if path.endswith(".parquet"):
        file = pq.ParquetFile(path)
        return file.metadata.metadata, map(file.read_row_group, range(file.num_row_groups))
    file = pa.ipc.open_file(path)
    batches = (file.get_batch(i) for i in range(file.num_record_batches))
    return file.schema.metadata, (pa.table([*map(plain, batch.columns)], batch.schema.names) for batch in batches)

def plain(column):  # a tensor's values as the bytes that Parquet has
    if not isinstance(column, pa.ExtensionArray): return column
    values, length = column.storage.flatten(), column.type.storage_type.list_size
    return pa.Array.from_buffers(pa.binary(values.type.bit_width // 8 * length), len(column), [None, values.buffers()[1]])

def read(folder):  # every row that is there, verified, as a dict; tensors [height, width, channels]
    manifest, fingerprint = manifest_of(folder)
    files = [os.path.join(folder, "journal.jsonl"), *glob.glob(os.path.join(glob.escape(folder), "journal", "*.json"))]
    texts = [line for path in filter(os.path.exists, files) for line in open(path, encoding="utf8")]
    lines = [re.fullmatch(r'(.*),"crc32":"(.{8})"}\n?', line) for line in texts]
    entries = [json.loads(line[1] + "}") for line in lines if line and f"{zlib.crc32(line[1].encode()):08x}" == line[2]]
    known, kind = {(e["shard"], e["sha256"]) for e in entries}, {"float16": "<f2", "float32": "<f4", "int16": "<i2"}[manifest["dtype"]]
    ending = manifest.get("shardFormat", "parquet")
    for name in sorted(n for n in os.listdir(os.path.join(folder, "shards")) if re.fullmatch(r"\d{6,}\." + ending, n)):
        with open(path := os.path.join(folder, "shards", name), "rb") as raw: digest = hashlib.sha256(raw.read()).hexdigest()
        check((shard := int(name.split(".")[0]), digest) in known, f"{path}: its sha256 is not in journal.jsonl")
        metadata, groups = parts(path)
        said = {key.decode(): value.decode() for key, value in metadata.items()}
        check(said["fingerprint"] == fingerprint, f"{path}: it belongs to another store")
        first, gone = shard * manifest["rowsPerShard"], {failure["id"] for failure in json.loads(said["failed"])}
        ids = iter([id for id in range(first, min(first + manifest["rowsPerShard"], manifest["entries"])) if id not in gone])
        for row, schema in ((row, group.schema) for group in groups for row in group.to_pylist()):
            check(row["id" if manifest["kind"] == "triples" else "index"] == next(ids, None), f"{path}: its ids are not the shard's")
            check(crc(row, schema) == row.pop("crc32"), f"{path}: a row does not match its checksum")
            tensor = "tokens" if manifest["kind"] == "tokens" else "latent"
            row[tensor] = np.frombuffer(row[tensor], kind).reshape(manifest["shape"])
            if manifest["kind"] == "triples":
                length = row["latent"].size
                noise = np.frombuffer(row["noise"], "<f4") if "noise" in row else normals(row["seed"], row["id"] * length, length)
                row["noise"] = noise.reshape(manifest["shape"])
                if text := manifest.get("embedding"):  # tokens, then a mask of them, then pooled features
                    n, of = text["length"] * text["width"], np.frombuffer(row["embedding"], kind)
                    rest = of[n:] if not text["isMasked"] else of[n + text["length"] :]
                    row["embedding"] = {"tokens": of[:n].reshape(text["length"], -1), "mask": of[n : len(of) - len(rest)], "pooled": rest}
                if way := manifest.get("trajectory"):  # the state before step 0 is the noise times its sigma
                    of = lambda n, sigma: np.frombuffer(row.pop(f"state{n}"), kind) if n else (noise.astype("f8") * sigma).astype("<f4")
                    row["states"] = [of(*place).reshape(manifest["shape"]) for place in zip(way["steps"], way["sigmas"])]
            yield row
        check(next(ids, None) is None, f"{path}: it lacks rows that it does not list as failed")

if __name__ == "__main__": print(f"{sum(1 for _ in read(sys.argv[1]))} rows, every one as it was written")
