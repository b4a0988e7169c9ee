"""Captions as ids, for this folder's text.onnx: encode(["a red boat"]) -> int32 [1, length]. As onestep's own tokenizer has them."""

import json
import os
import re
import unicodedata

import numpy as np

_folder = os.path.dirname(os.path.abspath(__file__))
_told = json.load(open(os.path.join(_folder, "tokenizer.json"), encoding="utf8"))
_about = json.load(open(os.path.join(_folder, "onestep.json"), encoding="utf8"))["condition"]["tokenizers"][0]
_merges = {tuple(pair): rank for rank, pair in enumerate(_told["merges"])}
_ids = {}
for _id, _piece in enumerate([*_told["characters"], *(left + right for left, right in _told["merges"])]):
    _ids.setdefault(_piece, 18 + _id)  # 0 is padding, 1 the end, 2 to 17 are half-bytes


def _words(text):
    """Letters, marks and digits in a row, or one other sign, each with the space before it."""
    kinds = "".join("w" if unicodedata.category(sign)[0] in "LMN" else "s" if sign.isspace() else "o" for sign in text)
    return [text[found.start() : found.end()] for found in re.finditer("s?w+|s?o", kinds)]


def _spell(word):
    pieces = list(word)
    while True:
        ranks = [_merges.get(pair, len(_merges)) for pair in zip(pieces, pieces[1:])]
        best = min(ranks, default=len(_merges))
        if best == len(_merges):
            break
        left, right = _told["merges"][best]
        merged, at = [], 0
        while at < len(pieces):
            joins = pieces[at : at + 2] == [left, right]
            merged.append(left + right if joins else pieces[at])
            at += 2 if joins else 1
        pieces = merged
    for piece in pieces:
        if piece in _ids:
            yield _ids[piece]
        else:
            for byte in piece.encode():
                yield from (2 + (byte >> 4), 2 + (byte & 15))


def encode(captions):
    rows = np.full([len(captions), _about["length"]], _about["padding"], np.int32)
    for row, caption in zip(rows, captions):
        text = " " + " ".join(unicodedata.normalize("NFC", caption).lower().split())
        ids = [id for word in _words(text) for id in _spell(word)][: _about["length"] - 1]
        row[: len(ids) + 1] = [*ids, _about["end"]]
    return rows
