"""Batched, padded generation is what one prompt alone gives, and nothing but what was asked for decides."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from stiefel.evaluation.hf import HFEngine
from stiefel.evaluation.plan import Room, batch_seed, job_seed, plan
from stiefel.tasks import Sampling, find_task

GREEDY = Sampling(temperature=0.0, max_tokens=40)


def prompts_of(tokenizer: Any, count: int) -> list[list[int]]:
    """Prompts of several lengths."""
    rows = [row for name in ("arithmetic", "sort") for row in find_task(f"nano-{name}").rows("test", count, 0)]
    return [tokenizer(row.text)["input_ids"] for row in rows]


def margins(model: Any, prompt: list[int], written: list[int]) -> float:
    """The smallest gap between the best two logits on the way that greedy decoding took."""
    ids = torch.tensor([prompt + written])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    best = logits.topk(2).values
    return float((best[:, 0] - best[:, 1]).min())


@pytest.mark.parametrize("kind", ["nano", "absolute"])
def test_a_batch_is_its_prompts_one_by_one(kind: str, tokenizer: Any, request: pytest.FixtureRequest) -> None:
    """Greedy, float32; the best two logits are further apart on the way than rounding moves them (checked first)."""
    model = request.getfixturevalue(kind)
    prompts = prompts_of(tokenizer, 12)
    assert len({len(prompt) for prompt in prompts}) > 3
    engine = HFEngine(model, tokenizer, GREEDY)
    alone = [engine([prompt], [0])[0] for prompt in prompts]
    for prompt, completion in zip(prompts, alone, strict=True):
        written = tokenizer(completion.text, add_special_tokens=False)["input_ids"]
        if written:
            # logits of order 10 and float32 sums of some 100 terms in another order: 100·2⁻²⁴·10 ≈ 6e-5
            assert margins(model, prompt, written) > 1e-4
    assert engine(prompts, list(range(len(prompts)))) == alone
    assert engine(prompts[::-1], list(range(len(prompts)))) == alone[::-1]


@pytest.mark.parametrize("kind", ["nano", "absolute"])
def test_padding_moves_logits_by_rounding_alone(kind: str, tokenizer: Any, request: pytest.FixtureRequest) -> None:
    """Of the forward pass that generate runs: positions from the attention mask, padding masked."""
    model = request.getfixturevalue(kind)
    prompts = prompts_of(tokenizer, 6)
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        together = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits[:, -1]
        alone = torch.stack([model(input_ids=torch.tensor([prompt])).logits[0, -1] for prompt in prompts])
    # sums of at most 384 float32 terms, through at most nine layers, in another order
    assert (together - alone).abs().max() <= 384 * 9 * 2**-24 * alone.abs().max()


def test_a_seed_repeats_a_batch_and_leaves_the_global_state(nano: Any, tokenizer: Any) -> None:
    prompts = prompts_of(tokenizer, 4)
    engine = HFEngine(nano, tokenizer, Sampling(temperature=1.0, max_tokens=30))
    before = torch.random.get_rng_state()
    first = engine(prompts, [1] * len(prompts))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(5)
    assert engine(prompts, [1] * len(prompts)) == first
    assert engine(prompts, [2] * len(prompts)) != first


def test_the_models_own_advice_on_sampling_does_not_leak_in(nano: Any, tokenizer: Any) -> None:
    """generation_config.json may bring top_k, repetition_penalty, suppressed tokens: generate would take them."""
    prompts = prompts_of(tokenizer, 6)
    sampling = Sampling(temperature=1.0, max_tokens=20)
    plain = HFEngine(nano, tokenizer, sampling)(prompts, [5] * len(prompts))
    advice = nano.generation_config
    kept = advice.to_dict()
    try:
        advice.update(top_k=1, repetition_penalty=5.0, temperature=0.1, min_new_tokens=15, suppress_tokens=[20])
        advised = nano.generate(torch.tensor([prompts[0]]), max_new_tokens=20, do_sample=True)
        assert advised.shape[1] - len(prompts[0]) >= 15  # the trap: it is obeyed where nothing else is said
        assert HFEngine(nano, tokenizer, sampling)(prompts, [5] * len(prompts)) == plain
        assert nano.generation_config is advice
        assert advice.top_k == 1
    finally:
        nano.generation_config = type(advice).from_dict(kept)


def test_top_k_is_honoured(nano: Any, tokenizer: Any) -> None:
    prompts = prompts_of(tokenizer, 4)
    greedy = HFEngine(nano, tokenizer, GREEDY)(prompts, [0] * len(prompts))
    one = Sampling(temperature=5.0, top_k=1, max_tokens=40)
    assert HFEngine(nano, tokenizer, one)(prompts, [0] * len(prompts)) == greedy
    many = Sampling(temperature=5.0, max_tokens=40)
    assert HFEngine(nano, tokenizer, many)(prompts, [0] * len(prompts)) != greedy


def test_every_end_token_of_the_model_ends_and_is_not_text(nano: Any, tokenizer: Any) -> None:
    prompts = prompts_of(tokenizer, 6)
    usual = HFEngine(nano, tokenizer, GREEDY)(prompts, [0] * len(prompts))
    mark = tokenizer.convert_tokens_to_ids(">")  # stands in for a second end of turn
    config = nano.generation_config
    kept = config.eos_token_id
    try:
        config.eos_token_id = [kept, mark]
        ended = HFEngine(nano, tokenizer, GREEDY)(prompts, [0] * len(prompts))
    finally:
        config.eos_token_id = kept
    for whole, part in zip(usual, ended, strict=True):
        assert part.text == whole.text.partition(">")[0]
        assert part.tokens == len(part.text) + 1  # a token a character, and the end
        assert not part.truncated


def test_stop_texts_end_a_completion_and_are_cut_off(nano: Any, tokenizer: Any) -> None:
    prompts = prompts_of(tokenizer, 8)
    usual = HFEngine(nano, tokenizer, GREEDY)(prompts, [0] * len(prompts))
    stopped = HFEngine(nano, tokenizer, GREEDY, ["=4", ">"])(prompts, [0] * len(prompts))
    for whole, part in zip(usual, stopped, strict=True):
        places = [place for place in (whole.text.find("=4"), whole.text.find(">")) if place >= 0]
        assert part.text == whole.text[: min(places)]
        assert not part.truncated
        assert part.tokens <= whole.tokens
    assert HFEngine(nano, tokenizer, GREEDY, ["=4", ">"])([prompts[0]], [0]) == stopped[:1]


def test_a_stop_text_that_begins_in_the_prompt_does_not_stop(nano: Any, tokenizer: Any) -> None:
    """`12+34?` goes on with `12…` or `>…`: a text of the prompt's end and what follows is not the completion's."""
    (prompt,) = prompts_of(tokenizer, 1)[:1]
    whole = HFEngine(nano, tokenizer, GREEDY)([prompt], [0])[0]
    across = tokenizer.decode(prompt)[-1] + whole.text[0]
    assert HFEngine(nano, tokenizer, GREEDY, [across])([prompt], [0])[0] == whole


def test_a_completion_at_the_limit_is_truncated(nano: Any, tokenizer: Any) -> None:
    prompts = prompts_of(tokenizer, 3)
    short = HFEngine(nano, tokenizer, Sampling(temperature=0.0, max_tokens=2))(prompts, [0] * len(prompts))
    assert all(completion.truncated and completion.tokens == 2 for completion in short)
    whole = HFEngine(nano, tokenizer, GREEDY)(prompts, [0] * len(prompts))
    exact = max(completion.tokens for completion in whole)
    fitting = HFEngine(nano, tokenizer, Sampling(temperature=0.0, max_tokens=exact))(prompts, [0] * len(prompts))
    assert fitting == whole  # the longest ends with its last token, and is not cut off


def test_a_plan_holds_every_sample_once_the_longest_first_and_within_its_room() -> None:
    lengths = [3, 9, 5, 9, 1]
    batches = plan(lengths, samples=3, max_tokens=11, room=Room(sequences=4, tokens=60))
    jobs = [job for jobs in batches for job in jobs]
    assert sorted(jobs) == [(question, sample) for question in range(5) for sample in range(3)]
    assert [lengths[question] for question, _ in jobs] == sorted((lengths[q] for q, _ in jobs), reverse=True)
    for jobs in batches:
        assert len(jobs) <= 4
        assert len(jobs) * (max(lengths[question] for question, _ in jobs) + 11) <= 60
    assert [len(jobs) for jobs in plan([10], 2, 16_384, Room(tokens=100))] == [1, 1], "one always fits"
    assert len(plan([10] * 7, 1, 5, Room(sequences=7, tokens=0))) == 1


def test_seeds_are_the_jobs_own() -> None:
    seeds = [job_seed(0, "gsm8k", (question, sample)) for question in range(20) for sample in range(20)]
    assert len(set(seeds)) == 400
    assert job_seed(1, "gsm8k", (0, 0)) != seeds[0] != job_seed(0, "svamp", (0, 0))
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert batch_seed(seeds[:3]) != batch_seed(seeds[1:4])
