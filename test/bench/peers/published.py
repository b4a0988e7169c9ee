"""Published networks in diffusers and transformers, in their real shapes with random weights: what peers.py times under these names.

Each network is saved as a folder once, in the folder that the environment's PUBLISHED names, and read from there by both sides.
"""
import os

import torch
import torch.nn as nn

SD15 = dict(sample_size=64, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8)
SD15_QUARTER = dict(SD15, block_out_channels=(80, 160, 320, 320), cross_attention_dim=192, norm_num_groups=16)
PIXART = dict(sample_size=64, num_layers=4, caption_channels=4096)
PIXART_QUARTER = dict(sample_size=64, num_attention_heads=4, cross_attention_dim=288, caption_channels=1024)

RANK = 16


def network(name):
    """The network of that name in float32, saved and read again."""
    import diffusers
    import transformers

    kind, config = {
        "sd15": (diffusers.UNet2DConditionModel, SD15),
        "sd15-quarter": (diffusers.UNet2DConditionModel, SD15_QUARTER),
        "pixart": (diffusers.PixArtTransformer2DModel, PIXART),
        "pixart-quarter": (diffusers.PixArtTransformer2DModel, PIXART_QUARTER),
        "clip-l": (transformers.CLIPTextModel, None),
    }[name]
    folder = os.path.join(os.environ["PUBLISHED"], name)
    if not os.path.exists(folder):
        made = kind(**config) if config else kind(transformers.CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, projection_dim=768))
        made.save_pretrained(folder + ".part", max_shard_size="100GB")
        os.rename(folder + ".part", folder)
    return kind.from_pretrained(folder).eval()


def inputs(name):
    """Arguments of one call, random."""
    if name == "clip-l":
        return dict(input_ids=torch.randint(0, 49000, (1, 77)))
    is_pixart = name.startswith("pixart")
    width = {"sd15": 768, "sd15-quarter": 192, "pixart": 4096, "pixart-quarter": 1024}[name]
    text = torch.randn(1, 120 if is_pixart else 77, width)
    timestep = torch.tensor([500])
    if is_pixart:
        sizes = dict(added_cond_kwargs=dict(resolution=None, aspect_ratio=None))
        return dict(hidden_states=torch.randn(1, 4, 64, 64), encoder_hidden_states=text, timestep=timestep, **sizes)
    return dict(sample=torch.randn(1, 4, 64, 64), encoder_hidden_states=text, timestep=timestep)


def forward(name):
    net, given = network(name), inputs(name)

    def step():
        with torch.inference_mode():
            net(**given)
    return step


class Lora(nn.Module):
    """A frozen linear layer and a low-rank addition, as peft computes it."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.down = nn.Linear(base.in_features, RANK, bias=False)
        self.up = nn.Linear(RANK, base.out_features, bias=False)
        nn.init.normal_(self.down.weight, std=1 / RANK)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


def lora(name):
    """One training step of a LoRA of the attention's four kernels: squared error, Adam."""
    net, given = network(name), inputs(name)
    net.requires_grad_(False)
    for block in [m for m in net.modules() if type(m).__name__ == "Attention"]:
        block.to_q, block.to_k, block.to_v = Lora(block.to_q), Lora(block.to_k), Lora(block.to_v)
        block.to_out[0] = Lora(block.to_out[0])
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 1e-3)
    target = torch.randn(1, 8 if name.startswith("pixart") else 4, 64, 64)

    def step():
        optimizer.zero_grad()
        ((net(**given).sample - target) ** 2).mean().backward()
        optimizer.step()
    return step


PROGRAMS = {name: (lambda name=name: forward(name)) for name in ("sd15", "sd15-quarter", "pixart", "pixart-quarter", "clip-l")}
PROGRAMS |= {f"{name}-lora": (lambda name=name: lora(name)) for name in ("sd15-quarter", "pixart-quarter")}
