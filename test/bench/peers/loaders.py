"""What other loaders make of the same job: rows of float32 tensors with a label, in shuffled batches, one process.

    python -m venv /tmp/loaders && /tmp/loaders/bin/pip install mosaicml-streaming webdataset datasets
    ROWS=50000 LENGTH=1024 taskset -c 0 /tmp/loaders/bin/python test/bench/peers/loaders.py
    ROWS=50000 LENGTH=1024 taskset -c 0 node --import tsx test/bench/peers/loaders.ts

Prints of each: rows a second over a shuffled epoch (the second: files in the cache), seconds from opening to the first
batch, and seconds from opening to the first batch after nine tenths of the epoch, as a resumed training needs it.
What a loader cannot do is said, not left out.
"""
import io
import os
import shutil
import tempfile
import time

import numpy as np

ROWS = int(os.environ.get("ROWS", 50_000))
LENGTH = int(os.environ.get("LENGTH", 1024))
BATCH = 64
SHARD = 512
FAR = ROWS * 9 // 10 // BATCH * BATCH
folder = tempfile.mkdtemp(prefix="onestep-loaders-", dir=os.environ.get("FOLDER"))
values = np.random.default_rng(0).standard_normal((SHARD, LENGTH), dtype=np.float32)


def row(i):
    return values[i % SHARD], i % 10


def report(name, epoch, first, resume, note):
    print(f"{name:24s} {ROWS / epoch:7.0f} rows/s   first batch {first:6.3f} s   at row {FAR}: {resume:6.3f} s   {note}", flush=True)


def timed(work):
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def drain(batches):
    seen = 0
    for latent, _ in batches:
        assert latent.shape[1] == LENGTH and latent.dtype == np.float32
        seen += len(latent)
    return seen


def stacked(rows):
    latents, labels = [], []
    for latent, label in rows:
        latents.append(latent)
        labels.append(label)
        if len(latents) == BATCH:
            yield np.stack(latents), np.array(labels)
            latents, labels = [], []


def streaming():
    from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    place = f"{folder}/mds"
    columns = {"latent": f"ndarray:float32:{LENGTH}", "label": "int"}
    with MDSWriter(out=place, columns=columns, hashes=["xxh64"], size_limit=SHARD * LENGTH * 4) as out:
        for i in range(ROWS):
            latent, label = row(i)
            out.write({"latent": latent, "label": label})

    def opened():
        clean_stale_shared_memory()
        data = StreamingDataset(local=place, shuffle=True, batch_size=BATCH, validate_hash="xxh64", shuffle_seed=1)
        return StreamingDataLoader(data, batch_size=BATCH, num_workers=0, drop_last=True)

    def batches(state=None):
        loader = opened()
        if state:
            loader.load_state_dict(state)
        for item in loader:
            yield item["latent"].numpy(), item["label"].numpy()

    first, _ = timed(lambda: next(batches()))
    drain(batches())
    epoch, _ = timed(lambda: drain(batches()))
    loader = opened()
    it = iter(loader)
    next(it)
    state = {**loader.state_dict(), "sample_in_epoch": FAR}
    resume, _ = timed(lambda: next(batches(state)))
    assert drain(batches(state)) == (ROWS - FAR) // BATCH * BATCH
    report("MosaicML Streaming", epoch, first, resume, "exact; xxh64 of a shard when it is fetched, not when it is read")


def webdataset():
    import webdataset as wds

    with wds.ShardWriter(f"{folder}/%06d.tar", maxcount=SHARD, verbose=0) as sink:
        for i in range(ROWS):
            latent, label = row(i)
            data = io.BytesIO()
            np.save(data, latent)
            sink.write({"__key__": f"{i:08d}", "npy": data.getvalue(), "cls": label})
    urls = f"{folder}/{{000000..{(ROWS - 1) // SHARD:06d}}}.tar"

    def batches():
        data = wds.WebDataset(urls, shardshuffle=100, seed=1, empty_check=False)
        return stacked(data.shuffle(4 * SHARD).decode().to_tuple("npy", "cls"))

    def skip():
        it = batches()
        for _ in range(FAR // BATCH):
            next(it)
        next(it)

    first, _ = timed(lambda: next(batches()))
    drain(batches())
    epoch, _ = timed(lambda: drain(batches()))
    resume, _ = timed(skip)
    report("WebDataset", epoch, first, resume, "no position is kept: read and dropped up to there; no checksums")


def datasets():
    import datasets as hf
    import pyarrow as pa
    import pyarrow.parquet as pq

    hf.disable_progress_bars()
    os.makedirs(f"{folder}/parquet")
    for start in range(0, ROWS, SHARD):
        n = min(SHARD, ROWS - start)
        latents = pa.FixedSizeListArray.from_arrays(pa.array(values[:n].reshape(-1)), LENGTH)
        table = pa.table({"latent": latents, "label": pa.array([(start + i) % 10 for i in range(n)])})
        pq.write_table(table, f"{folder}/parquet/{start // SHARD:06d}.parquet", compression="none", use_dictionary=False)
    files = {"train": f"{folder}/parquet/*.parquet"}

    def mapped(start=0):
        data = hf.load_dataset("parquet", data_files=files, cache_dir=f"{folder}/cache", split="train")
        data = data.with_format("numpy").shuffle(seed=1)
        for i in range(start, ROWS - BATCH + 1, BATCH):
            part = data[i : i + BATCH]
            yield part["latent"], part["label"]

    convert, _ = timed(lambda: next(mapped()))
    first, _ = timed(lambda: next(mapped()))
    drain(mapped())
    epoch, _ = timed(lambda: drain(mapped()))
    resume, _ = timed(lambda: next(mapped(FAR)))
    report("HF datasets, mapped", epoch, first, resume, f"exact; the first opening converts to Arrow: {convert:.1f} s; no checksums")

    def opened():
        data = hf.load_dataset("parquet", data_files=files, cache_dir=f"{folder}/cache", split="train", streaming=True)
        return data.with_format("numpy").shuffle(seed=1, buffer_size=4 * SHARD)

    def streamed(data):
        return stacked((item["latent"], item["label"]) for item in data)

    first, _ = timed(lambda: next(streamed(opened())))
    epoch, _ = timed(lambda: drain(streamed(opened())))
    data = opened()
    it = iter(data)
    for _ in range(FAR):
        next(it)
    state = data.state_dict()

    def resumed():
        again = opened()
        again.load_state_dict(state)
        next(streamed(again), None)

    resume, _ = timed(resumed)
    report("HF datasets, streaming", epoch, first, resume, "not exact: the shuffle buffer is not saved, its rows are lost")


print(f"{ROWS} rows of {LENGTH} floats, batches of {BATCH}, in {folder}")
try:
    for loader in (streaming, webdataset, datasets):
        try:
            loader()
        except ImportError as error:
            print(f"{loader.__name__:24s} not installed: {error}")
        except Exception as error:  # one that breaks does not hide the others
            print(f"{loader.__name__:24s} failed: {type(error).__name__}: {error}")
finally:
    shutil.rmtree(folder, ignore_errors=True)
