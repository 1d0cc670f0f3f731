"""A tiny model for chats on disk, whose template, end of sequence and generation config are what a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

CHARACTERS = "\n !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
SPECIAL = ("<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|user|>", "<|eot|>")
# as Qwen's: a line break follows the end of a turn, and an option decides how an answer begins
QWEN = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
    "{%- endif %}"
)


def chat_tokenizer(template: str | None = QWEN, eos: str = "<|endoftext|>", **added: Any) -> Any:
    """One token a character; `added` are further tokens by name, which are not special."""
    backend = Tokenizer(WordLevel({token: i for i, token in enumerate((*SPECIAL, *CHARACTERS))}, unk_token="<|pad|>"))
    backend.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = Fuse()
    backend.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    if added:
        backend.add_tokens([AddedToken(text, special=False, normalized=False) for text in added.values()])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|pad|>",
        eos_token=eos,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    return tokenizer


def chat_model(directory: Path, tokenizer: Any, *, ends: int | list[int] | None = None) -> str:
    """The directory of a random model with this tokenizer, whose generation config names these ends."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=128,
            tie_word_embeddings=False,
            pad_token_id=0,
            eos_token_id=tokenizer.eos_token_id if ends is None else ends,
        )
        model = Qwen3ForCausalLM(config)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)
