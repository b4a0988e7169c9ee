"""Python's diffusers asked for what exported students draw: `export_check.py JOBS.json`.

Of each job the pipeline's own call is made, with the arguments that the export's README names; only its noise is the given one, and
the latents of its last step are written.
"""
import json
import sys

import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)


def pipeline_of(job):
    if "single" in job:  # a real model's configs are found by its keys, and downloaded; a tiny one's are its teacher's
        path = f"{job['folder']}/{job['single']}"
        pipe = StableDiffusionPipeline.from_single_file(path, config=job["base"], torch_dtype=torch.float32, local_files_only=True)
    else:
        pipe = DiffusionPipeline.from_pretrained(job.get("base", job["folder"]), torch_dtype=torch.float32)
    if "lora" in job:
        pipe.load_lora_weights(job["folder"], weight_name=job["lora"])
    if "base" in job:  # what has no schedule of its own has it beside
        kind = json.load(open(f"{job['folder']}/scheduler/scheduler_config.json"))["_class_name"]
        pipe.scheduler = getattr(__import__("diffusers"), kind).from_pretrained(job["folder"], subfolder="scheduler")
    pipe.set_progress_bar_config(disable=True)
    return pipe


for job in json.load(open(sys.argv[1])):
    pipe = pipeline_of(job)
    noise = load_file(job["noise"])["noise"]
    made = []
    step = pipe.scheduler.step

    def kept(*args, **kwargs):
        answer = step(*args, **kwargs)
        made.append(answer[0])
        return answer

    pipe.scheduler.step = kept
    sys.modules[type(pipe).__module__].randn_tensor = lambda shape, **_: noise.reshape(shape)
    given = {**job["given"], **{name: eval(value) for name, value in job["call"].items()}}
    pipe(**given, output_type="pt")
    last = made[-1].float()
    if last.dim() == 3:  # FLUX packs squares of four
        last = pipe._unpack_latents(last, given["height"], given["width"], pipe.vae_scale_factor)
    save_file({"latents": last.contiguous()}, job["out"])
print("null")
