"""Golden vectors of a pipeline folder that diffusers can load, for `pipeline inspect FOLDER --parity golden.safetensors`.

    pip install torch diffusers transformers safetensors sentencepiece
    python docs/golden.py FOLDER                 # writes FOLDER/golden.safetensors and FOLDER/golden.json
    python docs/golden.py FOLDER --size 256      # side of the images in pixels, smaller where memory is short

Every part is asked once in float32 on the CPU with inputs drawn from one seed, and then the whole pipeline;
what they answer is written down.
"""

import argparse
import inspect
import json
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import save_file

PROMPTS = {"plain": "a photo of a red fox in the snow", "empty": "", "unicode": "  Zürich café, naïve ﬁancée, 東京タワー 🗼 don't!  "}


class Golden:
    def __init__(self):
        self.tensors = {}
        self.about = {"prompts": PROMPTS, "tokenizers": {}, "forwards": [], "schedules": [], "trajectories": []}

    def forward(self, name, inputs, outputs):
        for key, value in {**inputs, **outputs}.items():
            self.tensors[f"{name}.{key}"] = value.detach().clone().contiguous()
        entry = {"name": name, "inputs": {key: f"{name}.{key}" for key in inputs}, "outputs": {key: f"{name}.{key}" for key in outputs}}
        self.about["forwards"].append(entry)


def finite(value):
    """JSON has no infinity: null stands for it."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def tokens(golden, name, tokenizer, length):
    out = tokenizer(list(PROMPTS.values()), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    lengths = [int(mask.sum()) for mask in out.attention_mask]
    golden.about["tokenizers"][name] = {
        "max_length": length,
        "ids": dict(zip(PROMPTS, out.input_ids.tolist())),
        "lengths": dict(zip(PROMPTS, lengths)),
    }
    return out


def text(golden, name, encoder, given):
    if "T5" in type(encoder).__name__:
        inputs = {"input_ids": given.input_ids, "attention_mask": given.attention_mask}
        return golden.forward(name, inputs, {"last_hidden_state": encoder(**inputs).last_hidden_state})
    out = encoder(given.input_ids, output_hidden_states=True)
    pooled = {"text_embeds": out.text_embeds} if "Projection" in type(encoder).__name__ else {"pooler_output": out.pooler_output}
    states = {"last_hidden_state": out.last_hidden_state, "penultimate": out.hidden_states[-2]}
    golden.forward(name, {"input_ids": given.input_ids}, {**states, **pooled})


def autoencoder(golden, vae, size):
    image = torch.rand(1, vae.config.in_channels, size, size) * 2 - 1
    posterior = vae.encode(image).latent_dist
    golden.forward("vae.encode", {"image": image}, {"mean": posterior.mean, "logvar": posterior.logvar})
    golden.forward("vae.decode", {"latents": posterior.mean}, {"image": vae.decode(posterior.mean).sample})


def denoiser(golden, name, network, side):
    """Draws what the network's class takes; names are those of its `forward`."""
    config, taken = network.config, inspect.signature(network.forward).parameters
    channels = config.in_channels
    inputs = {"timestep": torch.tensor([981, 7])}
    if "sample" in taken:
        inputs["sample"] = torch.randn(2, channels, side, side)
    elif "img_ids" in taken:  # FLUX: packed latents, a token for every 2 x 2 of them
        half = side // 2
        rows, columns = torch.meshgrid(torch.arange(half), torch.arange(half), indexing="ij")
        places = torch.stack([torch.zeros_like(rows), rows, columns], -1).reshape(-1, 3).float()
        inputs |= {"hidden_states": torch.randn(2, half * half, channels), "img_ids": places, "txt_ids": torch.zeros(16, 3)}
        inputs["timestep"] = torch.tensor([0.9, 0.1])
        if config.guidance_embeds:
            inputs["guidance"] = torch.tensor([3.5, 3.5])
    else:
        inputs["hidden_states"] = torch.randn(2, channels, side, side)
    if "class_labels" in taken and getattr(config, "num_embeds_ada_norm", None) and "encoder_hidden_states" not in taken:
        classes = config.num_embeds_ada_norm
        inputs["class_labels"] = torch.tensor([min(207, classes - 1), classes])
    if "encoder_hidden_states" in taken:
        widths = ["caption_channels", "joint_attention_dim", "cross_attention_dim"]
        width = next(value for key in widths if (value := getattr(config, key, None)))
        inputs["encoder_hidden_states"] = torch.randn(2, 16, width)
    if "pooled_projections" in taken:
        inputs["pooled_projections"] = torch.randn(2, config.pooled_projection_dim)
    if getattr(config, "time_cond_proj_dim", None):  # told the guidance scale, as of latent consistency models
        inputs["timestep_cond"] = torch.randn(2, config.time_cond_proj_dim)
    added = {}
    if getattr(config, "addition_embed_type", None) == "text_time":
        ids = torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]] * 2)
        width = config.projection_class_embeddings_input_dim - ids.shape[1] * config.addition_time_embed_dim
        added = {"added_cond_kwargs": {"text_embeds": torch.randn(2, width), "time_ids": ids}}
    elif "added_cond_kwargs" in taken and "caption_channels" in config:
        both = {"resolution": torch.tensor([[1024.0, 1024.0]] * 2), "aspect_ratio": torch.tensor([[1.0]] * 2)}
        added = {"added_cond_kwargs": both if network.use_additional_conditions else {"resolution": None, "aspect_ratio": None}}
    out = network(**inputs, **added).sample
    extra = {key: value for key, value in added.get("added_cond_kwargs", {}).items() if value is not None}
    golden.forward(name, {**inputs, **extra}, {"out": out})


def schedules(golden, scheduler):
    dynamic = {"mu": 0.8} if scheduler.config.get("use_dynamic_shifting") else {}
    for steps in (1, 2, 4, 10, 30):
        fresh = type(scheduler).from_config(scheduler.config)
        try:
            fresh.set_timesteps(steps, **dynamic)
        except ValueError:  # PNDM with its Runge-Kutta beginning takes no fewer than four
            continue
        entry = {
            "class": type(scheduler).__name__,
            "config": {key: value for key, value in scheduler.config.items() if not key.startswith("_")},
            "steps": steps,
            "timesteps": fresh.timesteps.tolist(),
            "init_noise_sigma": float(getattr(fresh, "init_noise_sigma", 1.0)),
            **({"given": dynamic} if dynamic else {}),
        }
        if getattr(fresh, "sigmas", None) is not None:
            entry["sigmas"] = torch.as_tensor(fresh.sigmas).tolist()
        golden.about["schedules"].append(finite(entry))


def trajectory(golden, pipe, side, size):
    """A whole guided run of a pipeline that reads a prompt, from noise to latents, at the pipeline's own scheduler."""
    taken = inspect.signature(pipe.__call__).parameters
    network = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    if "prompt" not in taken or "latents" not in taken:
        return
    packed = hasattr(pipe, "_pack_latents")  # FLUX
    channels = network.config.in_channels // (4 if packed else 1)
    noise = torch.randn(1, channels, side, side)
    start = pipe._pack_latents(noise, 1, channels, side, side) if packed else noise.clone()
    settings = {"num_inference_steps": 4, "guidance_scale": 3.0}
    plain = {key: False for key in ("clean_caption", "use_resolution_binning") if key in taken}
    out = pipe(prompt=PROMPTS["plain"], height=size, width=size, latents=start, output_type="latent", **settings, **plain).images
    golden.tensors |= {"noise": noise, "run.latents": out.contiguous()}
    config = {key: value for key, value in pipe.scheduler.config.items() if not key.startswith("_")}
    entry = {"name": "run", "scheduler": type(pipe.scheduler).__name__, "scheduler_config": finite(config), "prompt": "plain", **settings}
    golden.about["trajectories"].append(entry | {"noise": "noise", "latents": "run.latents"})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=256)
    given = parser.parse_args()
    torch.manual_seed(0)
    variant = "fp16" if any(given.folder.glob("*/*.fp16*.safetensors")) else None
    index = json.loads((given.folder / "model_index.json").read_text())
    absent = {name: None for name, part in index.items() if isinstance(part, list) and not (given.folder / name).exists()}
    pipe = DiffusionPipeline.from_pretrained(given.folder, torch_dtype=torch.float32, variant=variant, **absent)
    golden = Golden()
    factor = 2 ** (len(pipe.vae.config.block_out_channels) - 1) if getattr(pipe, "vae", None) else 1
    with torch.no_grad():
        for name, part in pipe.components.items():
            if name.startswith("tokenizer") and part is not None:
                encoder = "text_encoder" + name.removeprefix("tokenizer")
                length = min(part.model_max_length, 77 if "CLIP" in type(part).__name__ else 128)
                text(golden, encoder, pipe.components[encoder], tokens(golden, name, part, length))
            elif name in ("unet", "transformer"):
                denoiser(golden, name, part, given.size // factor)
            elif name == "vae" and type(part).__name__ == "AutoencoderKL":
                autoencoder(golden, part, given.size)
            elif name == "scheduler":
                schedules(golden, part)
        trajectory(golden, pipe, given.size // factor, given.size)
    save_file(golden.tensors, given.folder / "golden.safetensors")
    (given.folder / "golden.json").write_text(json.dumps(golden.about) + "\n")
    print(f"{len(golden.about['forwards'])} calls and {len(golden.about['schedules'])} schedules: {given.folder / 'golden.safetensors'}")


if __name__ == "__main__":
    main()
