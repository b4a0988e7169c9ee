"""Holds the tables of names of Stable Diffusion in one file to diffusers' own conversion, and writes the pairs that the test reads.

    pip install torch diffusers transformers safetensors
    python test/published/original_names.py ../shared/pipelines      # from the repository's root; writes original-names.json

Each tiny pipeline is written as one file by our tables (single-file.ts), converted back by diffusers, and compared with its folder:
every name and every value. The pairs are of layers: what both names of a tensor end with is left out.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from diffusers.loaders import single_file_utils as diffusers
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent
KINDS = {"sd1": "sd15", "sd2": "sd21v", "sdxl": "sdxl"}


def converted(kind, file, folder):
    """What diffusers makes of the file, by part."""
    config = lambda part: json.loads((folder / part / "config.json").read_text())
    parts = {
        "unet": diffusers.convert_ldm_unet_checkpoint(dict(file), config("unet")),
        "vae": diffusers.convert_ldm_vae_checkpoint(dict(file), config("vae")),
    }
    if kind == "sd2":
        parts["text_encoder"] = open_clip(file, config("text_encoder"), "cond_stage_model.model.")
    else:
        parts["text_encoder"] = diffusers.convert_ldm_clip_checkpoint(dict(file))
    if kind == "sdxl":
        parts["text_encoder_2"] = open_clip(file, config("text_encoder_2"), "conditioner.embedders.1.model.")
    return parts


def open_clip(file, config, prefix):
    model = SimpleNamespace(config=SimpleNamespace(hidden_size=config["hidden_size"]))
    return diffusers.convert_open_clip_checkpoint(model, file, prefix=prefix)


def compare(found, folder, part):
    expected = load_file(next((folder / part).glob("*.safetensors")))
    if part.startswith("text"):  # transformers 5 leaves the beginning out, and stored positions are no parameters
        short = lambda tensors: {name.removeprefix("text_model."): value for name, value in tensors.items() if "position_ids" not in name}
        expected, found = short(expected), short(found)
    assert expected.keys() == found.keys(), (folder, part, expected.keys() ^ found.keys())
    for name, value in expected.items():
        assert value.shape == found[name].shape and torch.equal(value.float(), found[name].float()), (folder, part, name)
    return len(expected)


def pairs(file, kind, folder):
    """Which names in the file each name of a part comes from: every tensor is marked by its place in the file."""
    names = sorted(file)
    marked = {name: torch.full(file[name].shape, float(i)) for i, name in enumerate(names)}
    found = set()
    for part, tensors in converted(kind, marked, folder).items():
        for ours, value in tensors.items():
            theirs = names[int(value.flatten()[0])]
            a, b = ours.split("."), theirs.split(".")
            while len(a) > 1 and len(b) > 1 and a[-1] == b[-1]:
                a, b = a[:-1], b[:-1]
            found.add((".".join(b), part, ".".join(a)))
    return sorted(found)


def line(pair):
    """As the repository's formatter writes it."""
    text = f"    {json.dumps(pair)}"
    return text if len(text) < 140 else "    [\n" + ",\n".join(f"      {json.dumps(name)}" for name in pair) + "\n    ]"


def main(pipelines):
    fixture = {}
    for kind, name in KINDS.items():
        folder = Path(pipelines).resolve() / name
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / f"{name}.safetensors"
            script = str(HERE / "single-file.ts")
            subprocess.run(["node", "--import", "tsx", script, kind, str(folder), str(path)], check=True, cwd=HERE.parent.parent)
            file = load_file(path)
        for part, tensors in converted(kind, file, folder).items():
            print(kind, part, compare(tensors, folder, part), "tensors agree")
        fixture[kind] = pairs(file, kind, folder)
    lines = [f'  "{kind}": [\n' + ",\n".join(map(line, found)) + "\n  ]" for kind, found in fixture.items()]
    (HERE / "original-names.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main(*sys.argv[1:])
