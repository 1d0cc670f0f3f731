"""A tiny random model of every family of docs/models.md: its settings, and what models of that family are called."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as IMAGES

from stiefel.model import TOKENIZER_FILES
from stiefel.model.modalities import auto_class
from stiefel.nano import NANO_PATH

TOKENS = {"vocab_size": 29, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # nano's tokenizer fits
WIDTH = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.2}
SIZES = {**TOKENS, **WIDTH, "intermediate_size": 48, "num_key_value_heads": 1, "max_position_embeddings": 128}
SIZES |= {"tie_word_embeddings": False}
HEAD = {"head_dim": 16}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "first_k_dense_replace": 1}
ROUTED |= {"n_group": 1, "topk_group": 1}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16}
SHARED = {"shared_expert_intermediate_size": 24}
DELTA = {"linear_num_value_heads": 4, "linear_num_key_heads": 2}
DELTA |= {"linear_key_head_dim": 16, "linear_value_head_dim": 16}
GEMMA4 = {"head_dim": 16, "global_head_dim": 16, "num_kv_shared_layers": 0}
GEMMA4 |= {"vocab_size_per_layer_input": 29, "hidden_size_per_layer_input": 8}
HALF = {"layer_types": ["linear_attention", "full_attention"]}
STATE = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1}
ROPE = {"rope_type": "default", "rope_theta": 1e4}
THREE = {"rope_parameters": {**ROPE, "mrope_section": [2, 3, 3]}}
SEEN = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
PATCHES = {**SEEN, "image_size": 28, "patch_size": 14}
BLOCKS = {"hidden_size": 32, "intermediate_size": 48, "depth": 1, "num_heads": 2, "out_hidden_size": 32}
ATTENTION = ("k_proj", "o_proj", "q_proj", "v_proj")


@dataclass(frozen=True)
class Family:
    """Models of one `model_type`: names of some, a tiny one's settings, and targets where "all-linear" will not do."""

    models: str
    more: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, Any] = field(default_factory=lambda: SIZES)
    targets: tuple[str, ...] = ()

    def on_meta(self, name: str) -> PreTrainedModel:
        """The model without weights; `name` is its `model_type`."""
        with torch.device("meta"):
            model: PreTrainedModel = kind_of(name).from_config(self.config(name))
        return model

    def config(self, name: str) -> Any:
        """Its settings."""
        return CONFIG_MAPPING[name](**{**self.sizes, **self.more})


def kind_of(name: str) -> Any:
    """The class by which transformers makes a whole model of a type."""
    if name in ENCODED:
        return AutoModelForSeq2SeqLM
    return AutoModelForImageTextToText if name in IMAGES else AutoModelForCausalLM


def seeing(models: str, language: dict[str, Any], vision: dict[str, Any], **more: Any) -> Family:
    """A family that reads images, with the settings of its language model and of what sees."""
    parts = {"text_config": {**SIZES, **language}, "vision_config": vision}
    return Family(models, {**parts, "tie_word_embeddings": False, **more}, sizes={})


DENSE = {
    "llama": Family("Llama 2 and 3, SmolLM2, DeepSeek-R1-Distill-Llama"),
    "mistral": Family("Mistral 7B", {"sliding_window": None}),
    "ministral3": Family(
        "Ministral 3, its language model",
        {**HEAD, "rope_parameters": {**ROPE, "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 128}},
    ),
    "qwen2": Family("Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen"),
    "qwen3": Family("Qwen3, nano", HEAD),
    "gemma": Family("Gemma", HEAD),
    "gemma2": Family("Gemma 2", HEAD),
    "gemma3_text": Family("Gemma 3 of 270M and 1B", HEAD),
    "phi": Family("Phi-1, Phi-1.5, Phi-2"),
    "phi3": Family("Phi-3, Phi-4"),
    "granite": Family("Granite 3"),
    "olmo2": Family("OLMo 2"),
    "olmo3": Family("OLMo 3"),
    "smollm3": Family("SmolLM3"),
    "starcoder2": Family("StarCoder2"),
    "stablelm": Family("StableLM 2"),
    "cohere2": Family("Command R7B"),
    "glm4": Family("GLM-4-0414"),
    "exaone4": Family("EXAONE 4"),
    "ernie4_5": Family("ERNIE 4.5 0.3B", HEAD),
    "seed_oss": Family("Seed-OSS", HEAD),
    "nemotron": Family("Minitron", HEAD),
    "falcon": Family("Falcon 7B and 40B", sizes={**TOKENS, **WIDTH}),
    "gpt2": Family("GPT-2", sizes={**TOKENS, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128}),
    "gpt_neox": Family("Pythia, GPT-NeoX", sizes={k: v for k, v in SIZES.items() if k != "num_key_value_heads"}),
    "opt": Family(
        "OPT", sizes={**TOKENS, **WIDTH, "ffn_dim": 48, "word_embed_proj_dim": 32, "max_position_embeddings": 128}
    ),
    "bloom": Family("BLOOM", sizes={**TOKENS, "hidden_size": 32, "n_layer": 2, "n_head": 2}),
}
MIXTURES = {
    "qwen3_moe": Family("Qwen3-30B-A3B", {**HEAD, **EXPERTS}, targets=ATTENTION),
    "qwen2_moe": Family(
        "Qwen1.5-MoE, Qwen2-57B-A14B", {**EXPERTS, **SHARED}, targets=(*ATTENTION, "gate_proj", "up_proj")
    ),
    "mixtral": Family("Mixtral", {"num_local_experts": 4}, targets=ATTENTION),
    "olmoe": Family("OLMoE", {"num_experts": 4, "num_experts_per_tok": 2}, targets=ATTENTION),
    "phimoe": Family("Phi-3.5-MoE", {"num_local_experts": 4}, targets=ATTENTION),
    "glm4_moe": Family("GLM-4.5", {**HEAD, **ROUTED}, targets=ATTENTION),
    "deepseek_v3": Family(
        "DeepSeek-V3 and R1, a copy in bfloat16",
        {"num_key_value_heads": 2, **ROUTED, **LATENT},
        targets=("kv_a_proj_with_mqa", "kv_b_proj", "o_proj", "q_a_proj", "q_b_proj"),
    ),
    "llama4_text": Family(
        "Llama 4, its language model",
        {**HEAD, "intermediate_size_mlp": 48, "num_local_experts": 2, "attention_chunk_size": 64},
        targets=(*ATTENTION, "gate_proj", "up_proj", "shared_expert.down_proj"),
    ),
    "gpt_oss": Family(
        "gpt-oss, a copy in bfloat16",
        {**HEAD, "num_local_experts": 4, "num_experts_per_tok": 2, "rope_parameters": ROPE},
    ),
    "granitemoe": Family("Granite 3 MoE", {"num_local_experts": 4, "num_experts_per_tok": 2}),
}
STATES = {
    "qwen3_next": Family(
        "Qwen3-Next",
        {**HEAD, **EXPERTS, **SHARED, **DELTA, **HALF},
        targets=(*ATTENTION, "in_proj_qkvz", "out_proj"),
    ),
    "granitemoehybrid": Family(
        "Granite 4",
        {
            **STATE,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 48,
            "layer_types": ["mamba", "attention"],
            "position_embedding_type": "rope",
        },
    ),
    "falcon_h1": Family("Falcon-H1", {**HEAD, **STATE, "mamba_d_ssm": 64}),
    "bamba": Family("Bamba", {**STATE, "attn_layer_indices": [1]}),
    "jamba": Family(
        "Jamba",
        {
            **{"num_experts": 2, "num_experts_per_tok": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
            **{"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4, "mamba_dt_rank": 4},
        },
    ),
    "lfm2": Family("LFM2", {"layer_types": ["conv", "full_attention"]}),
    "mamba": Family("Mamba", sizes={**TOKENS, "hidden_size": 32, "state_size": 4, "num_hidden_layers": 2}),
    "mamba2": Family(
        "Mamba-2, Codestral Mamba",
        {"num_heads": 4, "head_dim": 16, "n_groups": 1},
        sizes={**TOKENS, "hidden_size": 32, "state_size": 4, "num_hidden_layers": 2},
    ),
}
SEEING = {
    "gemma3": seeing(
        "Gemma 3 of 4B and more", {"model_type": "gemma3_text", **HEAD}, PATCHES, mm_tokens_per_image=4, **TOKENS
    ),
    "qwen3_5": seeing("Qwen3.5", {**HEAD, **DELTA, **HALF}, BLOCKS),
    "gemma4": seeing("Gemma 4", GEMMA4, {**SEEN, **HEAD, "num_key_value_heads": 2}, audio_config=None, **TOKENS),
    "mistral3": seeing(
        "Mistral Small 3.1", {"model_type": "mistral", **HEAD}, {"model_type": "pixtral", **PATCHES, **HEAD}
    ),
    "qwen2_vl": seeing("Qwen2-VL", THREE, {**BLOCKS, "embed_dim": 32}),
    "qwen2_5_vl": seeing("Qwen2.5-VL", THREE, BLOCKS),
    "qwen3_vl": seeing("Qwen3-VL", {**HEAD, **THREE}, {**BLOCKS, "deepstack_visual_indexes": []}),
    "llava": seeing(
        "LLaVA 1.5",
        {"model_type": "llama"},
        {"model_type": "clip_vision_model", **PATCHES, "projection_dim": 32},
    ),
}
ENCODED = {
    "t5": Family(
        "T5, Flan-T5", sizes={"vocab_size": 29, "d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2}
    ),
    "bart": Family(
        "BART",
        {
            f"{side}_{name}": size
            for side in ("encoder", "decoder")
            for name, size in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 48))
        },
        sizes={**TOKENS, "d_model": 32, "max_position_embeddings": 128},
    ),
}
GROUPS = {
    "Dense": DENSE,
    "Mixtures of experts": MIXTURES,
    "With recurrent layers": STATES,
    "That read images": SEEING,
    "Encoder-decoders": ENCODED,
}
FAMILIES = {name: family for group in GROUPS.values() for name, family in group.items()}


@dataclass(frozen=True)
class Tiny:
    """A family's model in a directory, as a hub would have it."""

    name: str
    directory: Path

    def load(self, dtype: torch.dtype | str = torch.float32) -> PreTrainedModel:
        """It by the class that Stiefel takes; "auto" is the files' own type."""
        kind: Any = AutoModelForSeq2SeqLM if self.name in ENCODED else auto_class(self.name, self.directory)
        model: PreTrainedModel = kind.from_pretrained(self.directory, dtype=dtype)
        return model.eval()


def make(name: str, directory: Path) -> Tiny:
    """Write the tiny model of a family, whose numbers depend on nothing but a seed, with nano's tokenizer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kind_of(name).from_config(FAMILIES[name].config(name)).save_pretrained(directory)
    for pattern in TOKENIZER_FILES:
        for path in NANO_PATH.glob(pattern):
            (directory / path.name).write_bytes(path.read_bytes())
    return Tiny(name, directory)
