"""The same work in PyTorch, one program a process: `peers.py NAME`, then a number of steps on each line of standard input.

Answers each line with a JSON list of step times in ms; a last line of "memory" with the peak resident memory in MB.
Environment: THREADS (1), COMPILE (0: eager, 1: torch.compile), DEVICE (cpu, cuda), PRECISION (float32, tf32, bfloat16). Programs and
shapes are those of programs.ts.
"""
import contextlib
import json
import math
import os
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(int(os.environ.get("THREADS", 1)))
torch.manual_seed(0)
device, precision = os.environ.get("DEVICE", "cpu"), os.environ.get("PRECISION", "float32")
torch.set_default_device(device)
torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
torch.backends.cudnn.allow_tf32 = precision == "tf32"
half = lambda: torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()
finished = torch.cuda.synchronize if device == "cuda" else lambda: None
compiled = torch.compile if os.environ.get("COMPILE", "0") == "1" else lambda f: f


def dit(batch, tokens, width, depth, heads, train):
    """DiT with adaptive layer norm on [batch, tokens, 16], conditioned on [batch, width]."""
    weights = {"in": torch.randn(16, width) * 0.1, "pos": torch.randn(tokens, width) * 0.1, "out": torch.randn(width, 16) * 0.1}
    for l in range(depth):
        weights[f"ada{l}"] = torch.randn(width, 6 * width) * 0.02
        weights[f"qkv{l}"] = torch.randn(width, 3 * width) * 0.05
        weights[f"proj{l}"] = torch.randn(width, width) * 0.05
        weights[f"up{l}"] = torch.randn(width, 4 * width) * 0.05
        weights[f"down{l}"] = torch.randn(4 * width, width) * 0.05
    for w in weights.values():
        w.requires_grad_(train)
    norm = lambda x: F.layer_norm(x, (width,))
    gelu = lambda x: x * torch.sigmoid(1.702 * x)

    def model(x, c):
        h = x @ weights["in"] + weights["pos"]
        for l in range(depth):
            a = (c @ weights[f"ada{l}"]).view(batch, 1, 6 * width).chunk(6, 2)
            y = norm(h) * (1 + a[0]) + a[1]
            q, k, v = (y @ weights[f"qkv{l}"]).view(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            attention = ((q @ k.transpose(-1, -2)) / math.sqrt(width // heads)).softmax(-1)
            h = h + ((attention @ v).transpose(1, 2).reshape(batch, tokens, width) @ weights[f"proj{l}"]) * a[2]
            y = norm(h) * (1 + a[3]) + a[4]
            h = h + (gelu(y @ weights[f"up{l}"]) @ weights[f"down{l}"]) * a[5]
        return norm(h) @ weights["out"]

    x, c, target = torch.randn(batch, tokens, 16), torch.randn(batch, width), torch.randn(batch, tokens, 16)
    run = compiled(model)
    if not train:
        def forward():
            with torch.inference_mode(), half():
                run(x, c)
        return forward
    return training(lambda: ((run(x, c) - target) ** 2).mean(), torch.optim.Adam(weights.values(), 1e-3))


def training(loss, optimizer):
    def step():
        optimizer.zero_grad()
        with half():
            value = loss()
        value.backward()
        optimizer.step()
    return step


class Block(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, cin), nn.GroupNorm(8, cout)
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(cin, cout, 1, bias=False) if cin != cout else nn.Identity()

    def forward(self, x):
        return self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x)))))) + self.skip(x)


class UNet(nn.Module):
    """Levels of `width` and twice that many channels on [batch, 4, side, side]."""

    def __init__(self, width):
        super().__init__()
        deep = 2 * width
        self.head, self.tail = nn.Conv2d(4, width, 3, padding=1), nn.Conv2d(width, 4, 3, padding=1)
        self.down1, self.down2, self.middle = Block(width, width), Block(width, deep), Block(deep, deep)
        self.up2, self.up1 = Block(2 * deep, deep), Block(deep + width, width)

    def forward(self, x):
        h1 = self.down1(self.head(x))
        h2 = self.down2(F.avg_pool2d(h1, 2))
        u2 = self.up2(torch.cat([self.middle(h2), h2], 1))
        return self.tail(self.up1(torch.cat([F.interpolate(u2, scale_factor=2), h1], 1)))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.second(F.relu(self.first(F.relu(x))))


class Autoencoder(nn.Module):
    """The default autoencoder: 64 px images to latents of 16 px and 4 channels."""

    def __init__(self):
        super().__init__()
        conv = lambda cin, cout, size=3: nn.Conv2d(cin, cout, size, padding=size // 2)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2), conv(12, 48), Residual(48), nn.PixelUnshuffle(2), conv(192, 72, 1),
            Residual(72), Residual(72), nn.ReLU(), conv(72, 4, 1))
        self.decoder = nn.Sequential(
            conv(4, 72), Residual(72), Residual(72), nn.ReLU(), conv(72, 192, 1), nn.PixelShuffle(2),
            Residual(48), Residual(48), nn.ReLU(), conv(48, 12), nn.PixelShuffle(2))

    def forward(self, x):
        return self.decoder(3 * torch.tanh(self.encoder(x) / 3))


def images(net, x, target, optimizer):
    net = net.to(memory_format=torch.channels_last)
    x, target = (t.to(memory_format=torch.channels_last) for t in (x, target))
    run = compiled(net)
    return training(lambda: ((run(x) - target) ** 2).mean(), optimizer(net.parameters()))


def autoencoder():
    x = torch.randn(16, 3, 64, 64)
    return images(Autoencoder(), x, x, lambda p: torch.optim.Adam(p, 1e-3))


def unet(batch=32, side=16, width=64):
    shape = (batch, 4, side, side)
    return images(UNet(width), torch.randn(shape), torch.randn(shape), lambda p: torch.optim.SGD(p, 1e-2))


PROGRAMS = {
    "dit": lambda: dit(64, 64, 128, 4, 4, True),
    "dit-large": lambda: dit(8, 256, 384, 12, 6, True),
    "unet": unet,
    "autoencoder": autoencoder,
    "forward-1": lambda: dit(1, 64, 128, 4, 4, False),
    "forward-16": lambda: dit(16, 64, 128, 4, 4, False),
    "forward-256": lambda: dit(256, 64, 128, 4, 4, False),
    "gpu-dit": lambda: dit(64, 256, 768, 12, 12, True),
    "gpu-sample": lambda: dit(64, 256, 768, 12, 12, False),
    "gpu-unet": lambda: unet(256, 32),
    "tiny-dit": lambda: dit(2, 4, 8, 1, 2, True),
    "tiny-sample": lambda: dit(2, 4, 8, 1, 2, False),
    "tiny-unet": lambda: unet(1, 4, 8),
}

if sys.argv[1] not in PROGRAMS:
    from published import PROGRAMS

step = PROGRAMS[sys.argv[1]]()
step()
finished()
print(json.dumps({"version": f"PyTorch {torch.__version__}"}), flush=True)
for line in sys.stdin:
    if line.strip() == "memory":
        print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), flush=True)
        continue
    times = []
    for _ in range(int(line)):
        start = time.perf_counter()
        step()
        finished()
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps(times), flush=True)
