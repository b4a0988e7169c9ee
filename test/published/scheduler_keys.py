"""
Writes scheduler-keys.json: what the schedulers of diffusers answer where one key of their config has an unusual value.

    python test/published/scheduler_keys.py >test/published/scheduler-keys.json

Of each class the keys of its constructor, and cases: `config`, which are the case's keys over the class's defaults; `key`, the one that
is unusual; `timesteps`, `sigmas` (where the class has them) and `initNoiseSigma` of a walk of `steps`; and `ends`, where that walk came to
from `noises` with the network below. `error` stands in their place where diffusers refuses the value or fails with it.
"""

import inspect
import json
import math
import sys
import warnings

import diffusers
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

warnings.simplefilter("ignore")
diffusers.logging.set_verbosity_error()
STEPS = 6
TOKENS = 1024
NOISES = torch.tensor([-1.5, -0.4, 0.3, 1.2]).reshape(1, 1, 2, 2).repeat(1, 3, 1, 1)  # of a picture: learned variances follow its channels
TABLE = [0.002 + 0.0004 * i for i in range(50)]
BETAS = {
    "num_train_timesteps": [{"num_train_timesteps": 500}],
    "beta_start": [{"beta_start": 0.001}],
    "beta_end": [{"beta_end": 0.03}],
    "beta_schedule": [{"beta_schedule": name} for name in ("scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace")],
    "trained_betas": [{"trained_betas": TABLE, "num_train_timesteps": 50}, {"trained_betas": TABLE}],
}
SPACING = {
    "timestep_spacing": [{"timestep_spacing": name} for name in ("leading", "linspace", "trailing", "logarithmic")],
    "steps_offset": [{"steps_offset": 1, "timestep_spacing": "leading"}, {"steps_offset": 7}],
}
PREDICTION = {"prediction_type": [{"prediction_type": name} for name in ("sample", "v_prediction", "flow_prediction", "noise")]}
ZERO = {"rescale_betas_zero_snr": [{"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}]}
THRESHOLD = {
    "thresholding": [{"thresholding": True}],
    "dynamic_thresholding_ratio": [{"dynamic_thresholding_ratio": 0.5}],
    "sample_max_value": [{"sample_max_value": 3.0}],
}
GRIDS = {
    "use_karras_sigmas": [{"use_karras_sigmas": True}],
    "use_exponential_sigmas": [{"use_exponential_sigmas": True}],
    "use_beta_sigmas": [{"use_beta_sigmas": True}],
}
CASES = {
    "DDIMScheduler": {
        **BETAS, **SPACING, **PREDICTION, **ZERO, **THRESHOLD,
        "clip_sample": [{"clip_sample": False}],
        "clip_sample_range": [{"clip_sample_range": 0.5}],
        "set_alpha_to_one": [{"set_alpha_to_one": False, "clip_sample": False}],
    },
    "PNDMScheduler": {
        **BETAS, **SPACING, **PREDICTION,
        "skip_prk_steps": [{"skip_prk_steps": True}],
        "set_alpha_to_one": [{"set_alpha_to_one": True}, {"set_alpha_to_one": True, "skip_prk_steps": True}],
    },
    "EulerDiscreteScheduler": {
        **BETAS, **SPACING, **PREDICTION, **ZERO, **GRIDS,
        "interpolation_type": [{"interpolation_type": "log_linear"}],
        "sigma_min": [{"sigma_min": 0.02, "use_karras_sigmas": True}, {"sigma_min": 0.02}],
        "sigma_max": [{"sigma_max": 20.0, "use_exponential_sigmas": True}, {"sigma_max": 20.0}],
        "timestep_type": [{"timestep_type": "continuous", "prediction_type": "v_prediction"}],
        "final_sigmas_type": [{"final_sigmas_type": "sigma_min"}],
    },
    "EulerAncestralDiscreteScheduler": {**BETAS, **SPACING, **PREDICTION, **ZERO},
    "DPMSolverMultistepScheduler": {
        **BETAS, **SPACING, **PREDICTION, **ZERO, **THRESHOLD, **GRIDS,
        "solver_order": [{"solver_order": 1}, {"solver_order": 3}, {"solver_order": 4}],
        "algorithm_type": [
            {"algorithm_type": name, "final_sigmas_type": "sigma_min"}
            for name in ("dpmsolver", "sde-dpmsolver", "sde-dpmsolver++", "deis")
        ],
        "solver_type": [{"solver_type": "heun"}, {"solver_type": "bh2"}],
        "lower_order_final": [{"lower_order_final": False, "final_sigmas_type": "sigma_min"}],
        "euler_at_final": [{"euler_at_final": True, "final_sigmas_type": "sigma_min", "lower_order_final": False}],
        "use_lu_lambdas": [{"use_lu_lambdas": True}],
        "use_flow_sigmas": [{"use_flow_sigmas": True}],
        "flow_shift": [{"flow_shift": 3.0}],
        "final_sigmas_type": [{"final_sigmas_type": "sigma_min"}],
        "lambda_min_clipped": [{"lambda_min_clipped": -5.1, "beta_schedule": "squaredcos_cap_v2"}],
        "variance_type": [{"variance_type": "learned_range"}],
        "use_dynamic_shifting": [{"use_dynamic_shifting": True}],
        "time_shift_type": [{"time_shift_type": "linear"}],
    },
    "FlowMatchEulerDiscreteScheduler": {
        **GRIDS,
        "num_train_timesteps": [{"num_train_timesteps": 500}],
        "shift": [{"shift": 3.0}],
        "use_dynamic_shifting": [{"use_dynamic_shifting": True}],
        "base_shift": [{"base_shift": 0.3, "use_dynamic_shifting": True}, {"base_shift": 0.3}],
        "max_shift": [{"max_shift": 2.0, "use_dynamic_shifting": True}],
        "base_image_seq_len": [{"base_image_seq_len": 100, "use_dynamic_shifting": True}],
        "max_image_seq_len": [{"max_image_seq_len": 2048, "use_dynamic_shifting": True}],
        "invert_sigmas": [{"invert_sigmas": True}],
        "shift_terminal": [{"shift_terminal": 0.1}],
        "time_shift_type": [{"time_shift_type": "linear", "use_dynamic_shifting": True}, {"time_shift_type": "sigmoid"}],
        "stochastic_sampling": [{"stochastic_sampling": True}],
    },
}


def network(x, time):
    return 0.8 * torch.sin(1.3 * x + float(time) / 400) + 0.1 * x


def listed(values, digits):
    return [None if math.isinf(float(value)) else float(f"{float(value):.{digits}g}") for value in values]


def answer(name, config):
    scheduler = getattr(diffusers, name)(**config)
    isFlow = name.startswith("FlowMatch")
    given = {}
    if config.get("use_dynamic_shifting"):
        keys = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
        given["mu"] = calculate_shift(TOKENS, *(scheduler.config[key] for key in keys)) if isFlow else 0.8
    scheduler.set_timesteps(STEPS, **given)
    found = {"timesteps": listed(scheduler.timesteps, 9)}
    if hasattr(scheduler, "sigmas"):
        found["sigmas"] = listed(scheduler.sigmas, 9)
    start = float(getattr(scheduler, "init_noise_sigma", 1.0))
    found["initNoiseSigma"] = float(f"{start:.9g}")
    if "Ancestral" in name or config.get("stochastic_sampling") or config.get("algorithm_type", "").startswith("sde"):
        return found  # its steps add noise
    x = NOISES * start
    for time in scheduler.timesteps:
        into = scheduler.scale_model_input(x, time) if hasattr(scheduler, "scale_model_input") else x
        out = network(into, time / 1000 if isFlow else time)
        if config.get("variance_type"):
            out = torch.cat([out, out], dim=1)  # the second half is the variance's
        x = scheduler.step(out, time, x).prev_sample
    if not torch.isfinite(x).all():
        raise ArithmeticError("its walk ends nowhere")
    found["ends"] = listed(x[0, 0].flatten(), 6)
    return found


def case(name, key, config):
    try:
        return {"key": key, "config": config, **answer(name, config)}
    except Exception as error:  # a value that diffusers refuses, or fails with
        return {"key": key, "config": config, "error": type(error).__name__}


made = {}
for name, keys in CASES.items():
    own = [key for key in inspect.signature(getattr(diffusers, name).__init__).parameters if key != "self"]
    missing = set(own) ^ set(keys)
    assert not missing, (name, missing)
    cases = [case(name, key, config) for key in own for config in keys[key]]
    made[name] = {"keys": own, "usual": {"config": {}, **answer(name, {})}, "cases": cases}
json.dump({"diffusers": diffusers.__version__, "steps": STEPS, "tokens": TOKENS, "classes": made}, sys.stdout)
print()
