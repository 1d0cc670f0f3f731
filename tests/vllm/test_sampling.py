"""Drawn completions: their own seeds decide them, and they are drawn as transformers would."""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from stiefel.adapter.attached import attach
from stiefel.adapter.saved import save
from stiefel.evaluation import compare_evaluations, evaluate_into, prepare_evaluation
from stiefel.evaluation.settings import Drawn, Wanted
from stiefel.evaluation.subject import Subject
from stiefel.evaluation.vllm import VLLMEngine
from stiefel.model.weights import load_model
from stiefel.tasks import Sampling
from tests.vllm.subjects import GREEDY, by_transformers, engine_of, prompts, shaken

DRAWN = Sampling(samples=1, temperature=1.0, top_p=1.0, top_k=0, max_tokens=40, seed=3)


@pytest.fixture(scope="module")
def engine() -> VLLMEngine:
    return engine_of(Subject("nano"), DRAWN)


def test_a_completion_depends_on_its_seed_alone(engine: VLLMEngine) -> None:
    """The same again after other calls, in another order, and alone; nano's logits leave no ties to rounding."""
    seeds = [2**62 + number for number in range(len(prompts()))]
    first = engine(prompts(), seeds)
    assert engine(prompts(), [seed + 1000 for seed in seeds]) != first
    assert engine(prompts(), seeds) == first
    assert engine(prompts()[::-1], seeds[::-1]) == first[::-1]
    assert [engine([prompts()[place]], [seeds[place]])[0] for place in range(5)] == first[:5]
    drawn = engine([prompts()[0]] * 8, seeds[:8])
    assert len({each.text for each in drawn}) > 1


def test_top_k_and_top_p_narrow_to_the_likeliest_token(engine: VLLMEngine) -> None:
    greedy = by_transformers(Subject("nano"), GREEDY)
    kept = engine.sampling
    for narrow in (replace(DRAWN, top_k=1), replace(DRAWN, top_p=1e-6)):
        engine.sampling = narrow
        assert engine(prompts(), range(len(prompts()))) == greedy
    engine.sampling = kept


def test_stop_texts_are_cut_off_and_end_a_completion(engine: VLLMEngine) -> None:
    whole = engine(prompts(), range(len(prompts())))
    engine.stop = ["="]
    stopped = engine(prompts(), range(len(prompts())))
    engine.stop = []
    assert [each.text for each in stopped] == [each.text.split("=")[0] for each in whole]
    assert any(short.tokens < long.tokens for short, long in zip(stopped, whole, strict=True))


@pytest.mark.usefixtures("engine")
def test_the_process_is_left_as_it_was() -> None:
    assert "LD_PRELOAD" not in os.environ
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    assert torch.get_num_threads() == threads + 1
    torch.set_num_threads(threads)


def test_an_engine_that_is_dropped_gives_its_memory_back() -> None:
    """Its cache is one GiB."""
    began = engine_of(Subject("nano"))
    held = psutil.Process().memory_info().rss
    del began
    gc.collect()
    assert held - psutil.Process().memory_info().rss > 0.9 * 2**30


def test_scores_agree_with_transformers_within_their_interval(tmp_path: Path) -> None:
    """480 completions of each, of an anchored adapter near its start: a temperature makes nano miss some sums."""
    save(shaken(attach(load_model("nano"), "pissa", r=4, alpha=8), 0.01), tmp_path / "adapter")
    found = {}
    for engine in ("hf", "vllm"):
        wanted = Wanted(
            subject=Subject("nano", adapter=tmp_path / "adapter"),
            task="nano-arithmetic",
            out=tmp_path / engine,
            drawn=Drawn(samples=4, temperature=1.0, top_p=0.95, max_tokens=40, seed=1),
            limit=120,
            engine=engine,
        )
        found[engine] = evaluate_into(prepare_evaluation(wanted))
    by_hf, by_vllm = (found[engine].summary["scores"]["avg@4"] for engine in ("hf", "vllm"))
    assert 0.1 < by_hf["mean"] < 0.9
    assert by_vllm["low"] < by_hf["mean"] < by_vllm["high"]
    apart = compare_evaluations(found["hf"], found["vllm"])["differences"]["avg"]
    assert apart["low"] < 0 < apart["high"]
    assert apart["high"] - apart["low"] < 0.2
