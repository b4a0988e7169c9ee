"""Python's diffusers asked for what an exported student makes: `export_check.py FOLDER INPUTS.safetensors OUT.safetensors JSON`.

The pipeline's own call is made, with the arguments that the export's README names; only its noise is the given one, and the latents of
its last step are written.
"""
import json
import sys

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

folder, inputs, out, asked = sys.argv[1:]
given = load_file(inputs)
torch.set_num_threads(1)
plan = json.loads(asked)
pipe = DiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
pipe.set_progress_bar_config(disable=True)
if plan.get("lora"):
    pipe = DiffusionPipeline.from_pretrained(plan["base"], torch_dtype=torch.float32, **plan.get("variant", {}))
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(folder, weight_name=plan["lora"])
    pipe.scheduler = type(pipe.scheduler).from_pretrained(folder, subfolder="scheduler")

made = []
step = pipe.scheduler.step


def kept(*args, **kwargs):
    answer = step(*args, **kwargs)
    made.append(answer[0])
    return answer


pipe.scheduler.step = kept
module = sys.modules[type(pipe).__module__]
if hasattr(module, "randn_tensor"):
    module.randn_tensor = lambda shape, **_: given["noise"].reshape(shape)
call = {name: eval(value) for name, value in plan["call"].items()}
pipe(**plan["given"], **call, output_type="pt")
save_file({"latents": made[-1].float().contiguous()}, out)
print("null")
