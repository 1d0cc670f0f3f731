"""One token a character: digits, signs, the letters that are sorted and reversed."""

from __future__ import annotations

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from .problems import LETTERS

SPECIAL = ("<pad>", "<bos>", "<eos>")
CHARACTERS = "0123456789+-=;>?rs" + LETTERS


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer that ships with nano: <bos> goes first, an unknown character becomes <pad>."""
    vocabulary = {token: i for i, token in enumerate((*SPECIAL, *CHARACTERS))}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="<pad>"))
    backend.pre_tokenizer = Split(Regex("."), "isolated")
    backend.decoder = Fuse()
    backend.post_processor = TemplateProcessing("<bos> $A", special_tokens=[("<bos>", vocabulary["<bos>"])])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
