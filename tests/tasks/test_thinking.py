"""What a rendered prompt leaves open."""

from __future__ import annotations

import pytest

from stiefel.tasks.thinking import opened_thinking


@pytest.mark.parametrize("end", ["<think>\n", "<think>", "<think> \n\n"])
def test_a_prompt_that_ends_in_a_think_block_leaves_it_open(end: str) -> None:
    assert opened_thinking(f"<｜User｜>1+1?<｜Assistant｜>{end}") == "<think>\n"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "1+1?",
        "<|im_start|>assistant\n<think>\n\n</think>\n\n",  # a template told not to think
        "<|user|>Reason in <think> tags first.\n<|assistant|>\n",
        "<|user|>What does <think>\n do?<|assistant|>",
        "<|user|>Write <think> and </think>.<|assistant|>",
    ],
)
def test_other_prompts_leave_nothing_open(prompt: str) -> None:
    assert opened_thinking(prompt) == ""
