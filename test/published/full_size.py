"""
What the files of full-size models hold: of each its config.json, as published, and names and shapes of its parameters as the library
makes them of that config, on torch's "meta" device, which takes no memory. A line is a name with # for numbers, a shape, and the
numbers: "0.1 0.2". Run: python full_size.py > full-size.json (torch, diffusers, transformers).
"""
import inspect
import json
import re

import diffusers
import torch
import transformers

UNET = dict(
    _class_name="UNet2DConditionModel", act_fn="silu", center_input_sample=False, downsample_padding=1, flip_sin_to_cos=True,
    freq_shift=0, in_channels=4, layers_per_block=2, mid_block_scale_factor=1, norm_eps=1e-5, norm_num_groups=32, out_channels=4,
)
TRANSFORMER = dict(
    activation_fn="gelu-approximate", attention_bias=True, attention_head_dim=72, dropout=0.0, in_channels=4,
    norm_elementwise_affine=False, norm_num_groups=32, num_attention_heads=16, num_embeds_ada_norm=1000, num_layers=28,
    out_channels=8, patch_size=2, upcast_attention=False,
)
MODELS = {
    "sd15": dict(
        UNET, attention_head_dim=8, block_out_channels=[320, 640, 1280, 1280], cross_attention_dim=768,
        down_block_types=["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], sample_size=64,
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    ),
    "sdxl": dict(
        UNET, addition_embed_type="text_time", addition_embed_type_num_heads=64, addition_time_embed_dim=256,
        attention_head_dim=[5, 10, 20], block_out_channels=[320, 640, 1280], class_embed_type=None, cross_attention_dim=2048,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"], dual_cross_attention=False,
        mid_block_type="UNetMidBlock2DCrossAttn", num_class_embeds=None, only_cross_attention=False,
        projection_class_embeddings_input_dim=2816, resnet_time_scale_shift="default", sample_size=128,
        transformer_layers_per_block=[1, 2, 10], up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        use_linear_projection=True,
    ),
    "pixart": dict(
        TRANSFORMER, _class_name="PixArtTransformer2DModel", caption_channels=4096, cross_attention_dim=1152, norm_eps=1e-6,
        norm_type="ada_norm_single", sample_size=128,
    ),
    "dit": dict(TRANSFORMER, _class_name="DiTTransformer2DModel", norm_type="ada_norm_zero", sample_size=32),
    "vae": dict(
        _class_name="AutoencoderKL", act_fn="silu", block_out_channels=[128, 256, 512, 512],
        down_block_types=["DownEncoderBlock2D"] * 4, in_channels=3, latent_channels=4, layers_per_block=2, norm_num_groups=32,
        out_channels=3, sample_size=512, up_block_types=["UpDecoderBlock2D"] * 4,
    ),
    "clip": dict(
        architectures=["CLIPTextModel"], attention_dropout=0.0, bos_token_id=0, eos_token_id=2, hidden_act="quick_gelu",
        hidden_size=768, intermediate_size=3072, layer_norm_eps=1e-5, max_position_embeddings=77, model_type="clip_text_model",
        num_attention_heads=12, num_hidden_layers=12, pad_token_id=1, projection_dim=768, vocab_size=49408,
    ),
    "clip-g": dict(
        architectures=["CLIPTextModelWithProjection"], attention_dropout=0.0, bos_token_id=0, eos_token_id=2, hidden_act="gelu",
        hidden_size=1280, intermediate_size=5120, layer_norm_eps=1e-5, max_position_embeddings=77, model_type="clip_text_model",
        num_attention_heads=20, num_hidden_layers=32, pad_token_id=1, projection_dim=1280, vocab_size=49408,
    ),
    "t5-xxl": dict(
        architectures=["T5EncoderModel"], d_ff=10240, d_kv=64, d_model=4096, decoder_start_token_id=0, dense_act_fn="gelu_new",
        dropout_rate=0.1, eos_token_id=1, feed_forward_proj="gated-gelu", is_encoder_decoder=True, is_gated_act=True,
        layer_norm_epsilon=1e-6, model_type="t5", num_decoder_layers=24, num_heads=64, num_layers=24, pad_token_id=0,
        relative_attention_max_distance=128, relative_attention_num_buckets=32, tie_word_embeddings=False, vocab_size=32128,
    ),
}


def model_of(config):
    own = {key: value for key, value in config.items() if key not in ("_class_name", "architectures")}
    if "architectures" in config:
        configs = {"t5": transformers.T5Config, "clip_text_model": transformers.CLIPTextConfig}
        return getattr(transformers, config["architectures"][0])(configs[config["model_type"]](**own))
    kind = getattr(diffusers, config["_class_name"])
    known = inspect.signature(kind.__init__).parameters
    return kind(**{key: value for key, value in own.items() if key in known})


def lines_of(model):
    lines = {}
    for name, tensor in model.named_parameters():  # what is tied once
        if tensor.dtype.is_floating_point:
            key = (re.sub(r"\d+", "#", name), tuple(tensor.shape))
            lines.setdefault(key, []).append(".".join(re.findall(r"\d+", name)))
    return [[name, list(shape), " ".join(numbers)] for (name, shape), numbers in lines.items()]


def main():
    made = {}
    for name, config in MODELS.items():
        with torch.device("meta"):
            made[name] = {"config": config, "parameters": lines_of(model_of(config))}
    print("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(model, separators=(',', ':'))}" for name, model in made.items()) + "\n}")


main()
