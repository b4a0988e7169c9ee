"""
Writes LoRAs that change text encoders as well, and what diffusers makes of prompts with them.

    python test/published/text_loras.py ../shared/pipelines test/published/text-loras

sd15.safetensors and sdxl.safetensors have the library's own names, kohya-sd15.safetensors and kohya-sdxl.safetensors the same factors by
kohya's names; alpha 1 and rank 2 in all, so their factor is 1/2. golden.json: of a prompt with each file at a scale the first tokens'
embeddings, and pooled features.
"""

import json
import pathlib
import sys

import torch
import transformers.integrations.peft
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

transformers.integrations.peft.MIN_PEFT_VERSION = "0.21.0"  # 5.24 asks for a peft that is not published
PROMPT = "a red fox in the snow"
RANK, ALPHA, TOKENS = 2, 1, 8
LAYERS = ["q_proj", "out_proj", "fc1"]
shared, out = map(pathlib.Path, sys.argv[1:])
out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(7)


def randomised(module):
    """Factors of the adapter in a module, all drawn: the upper ones begin at zero otherwise."""
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=LAYERS)
    module.add_adapter(config, adapter_name="drawn")
    for name, parameter in module.named_parameters():
        if "lora_" in name:
            parameter.data = 0.3 * torch.randn(parameter.shape)
    return get_peft_model_state_dict(module, adapter_name="drawn")


def kohya(tensors, prefixes):
    made = {}
    for name, tensor in tensors.items():
        part, _, path = name.partition(".")
        if part not in prefixes:
            continue
        layer, role = path.removesuffix(".weight").rsplit(".", 1)
        if not layer.startswith("text_model."):
            layer = "text_model." + layer
        stem = prefixes[part] + layer.replace(".", "_")
        made[f"{stem}.{'lora_down' if role == 'lora_A' else 'lora_up'}.weight"] = tensor
        made[f"{stem}.alpha"] = torch.tensor(float(ALPHA))
    return made


def embeddings(make, path, scale):
    pipe = make()
    pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name="a")
    pipe.set_adapters(["a"], [scale])
    answers = pipe.encode_prompt(PROMPT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    tokens = answers[0][:, :TOKENS]
    pooled = answers[2] if len(answers) > 2 else None
    rows = {"tokens": tokens, **({"pooled": pooled} if pooled is not None else {})}
    return {name: [float(f"{value:.7g}") for value in row.float().flatten().tolist()] for name, row in rows.items()}


golden = {"prompt": PROMPT, "cases": []}
KINDS = {
    "sd15": (StableDiffusionPipeline, {}, {"text_encoder": "lora_te_"}),
    "sdxl": (StableDiffusionXLPipeline, {"variant": "fp16"}, {"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}),
}
for name, (kind, more, prefixes) in KINDS.items():
    make = lambda: kind.from_pretrained(shared / name, torch_dtype=torch.float32, **more)
    pipe = make()
    layers = {f"{part}_lora_layers": randomised(getattr(pipe, part)) for part in prefixes}
    kind.save_lora_weights(out, weight_name=f"{name}.safetensors", **layers)
    tensors = load_file(out / f"{name}.safetensors")
    tensors = {key: tensor.contiguous() for key, tensor in tensors.items()}
    said = {"r": RANK, "lora_alpha": ALPHA, "target_modules": LAYERS}
    metadata = json.dumps({f"{part}.{key}": value for part in prefixes for key, value in said.items()})
    save_file(tensors, out / f"{name}.safetensors", {"lora_adapter_metadata": metadata, "format": "pt"})
    save_file(kohya(tensors, prefixes), out / f"kohya-{name}.safetensors", {"format": "pt"})
    for file, scale in ((f"{name}.safetensors", 1.0), (f"kohya-{name}.safetensors", 0.6)):
        golden["cases"].append({"pipeline": name, "file": file, "scale": scale, **embeddings(make, out / file, scale)})
(out / "golden.json").write_text(json.dumps(golden) + "\n")
