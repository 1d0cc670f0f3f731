"""What training measures is what `stiefel eval` measures; golds that cannot be read are left out, and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stiefel.errors import UserError
from stiefel.evaluation import Sample, evaluate
from stiefel.evaluation.directory import evaluate_into
from stiefel.evaluation.prepared import prepare_evaluation
from stiefel.evaluation.settings import Drawn, Wanted
from stiefel.evaluation.subject import Subject
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.rewards import GRADERS
from stiefel.run import measurements as evaluation
from stiefel.run.measurements import AFTER, BEFORE, EVAL_SEED, BaseSamples, compare_scores, measure, sampling_of
from stiefel.tasks import Row, Sampling, Task, find_task

EVAL = {"tasks": ["nano-sort"], "limit": 10}


def test_training_and_the_command_draw_the_same_samples(tmp_path: Path) -> None:
    recipe = make_recipe({"eval": {**EVAL, "samples": 2}})
    measured = measure(recipe, load_model("nano"), load_tokenizer("nano"), BEFORE, lambda line: None)["nano-sort"]
    drawn = Drawn(samples=2, temperature=0.6, top_p=0.95, max_tokens=64, seed=EVAL_SEED)
    wanted = Wanted(subject=Subject("nano"), task="nano-sort", out=tmp_path / "out", drawn=drawn, limit=10)
    assert evaluate_into(prepare_evaluation(wanted)).samples == measured


def test_each_task_can_be_measured_in_its_own_way() -> None:
    own = make_recipe({"eval": {**EVAL, "sampling": "task"}})
    aime, gsm8k = find_task("aime24"), find_task("gsm8k")
    assert sampling_of(own, aime) == replace(aime.sampling, seed=EVAL_SEED)
    assert (sampling_of(own, aime).samples, sampling_of(own, gsm8k).temperature) == (32, 0.0)
    usual = Sampling(samples=1, temperature=0.6, top_p=0.95, max_tokens=64, seed=EVAL_SEED)
    assert sampling_of(make_recipe({"eval": EVAL}), aime) == usual
    assert make_recipe(own.model_dump()) == own  # the resolved recipe of a run is read again on --resume


@pytest.mark.parametrize("key", [{"samples": 4}, {"temperature": 1.0}, {"top_p": 0.5}])
def test_a_key_that_the_task_decides_is_refused(key: dict[str, float]) -> None:
    with pytest.raises(UserError, match="is set beside eval"):
        make_recipe({"eval": {**EVAL, "sampling": "task", **key}})


def task_of(golds: list[str]) -> Task:
    def rows(split: str, count: int, seed: int) -> list[Row]:
        return [Row(f"1{number}+2?", gold) for number, gold in enumerate(golds)][:count]

    return Task("sums", "", GRADERS["math"], rows)


def test_unreadable_golds_are_left_out_of_every_evaluation_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "tasks_of", lambda recipe: [task_of(["12", "\\frac{", "14"])])
    recipe, said = make_recipe({"eval": EVAL}), []
    pair = load_model("nano"), load_tokenizer("nano")
    phases = {when: measure(recipe, *pair, when, said.append) for when in (BEFORE, AFTER)}
    scores = compare_scores(phases)["sums"]
    assert scores["unreadable"] == 1
    assert scores["before"]["questions"] == scores["after"]["questions"] == scores["difference"]["questions"] == 2
    assert sum("gold answers of 1 of 3 questions cannot be read" in line for line in said) == 2


def test_a_task_without_a_readable_gold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "tasks_of", lambda recipe: [task_of(["\\frac{"])])
    with pytest.raises(UserError, match="sums has no gold answer that can be read"):
        measure(make_recipe({"eval": EVAL}), load_model("nano"), load_tokenizer("nano"), BEFORE, lambda line: None)


def test_measuring_leaves_the_model_as_it_was() -> None:
    model = load_model("nano").train()
    evaluate(model.eval(), load_tokenizer("nano"), find_task("nano-sort"), [Row("sba?", "ab")], Sampling())
    model.train()
    measure(make_recipe({"eval": {**EVAL, "limit": 1}}), model, load_tokenizer("nano"), BEFORE, lambda line: None)
    assert model.training
    assert model.generation_config.do_sample is True  # as its file says


def test_answers_beyond_the_models_context_are_refused() -> None:
    """The embedded model's context is 256 tokens, which its own tasks' answers fit."""
    recipe = make_recipe({"eval": EVAL, "rollout": {"max_completion_tokens": 256}})
    with pytest.raises(UserError, match="a completion of 256 do not fit nano") as error:
        measure(recipe, load_model("nano"), load_tokenizer("nano"), BEFORE, lambda line: None)
    assert "nano-sort" in error.value.why
    assert "lower rollout.max_completion_tokens" in error.value.instead
    own = make_recipe({"eval": {**EVAL, "sampling": "task"}, "rollout": {"max_completion_tokens": 256}})
    assert measure(own, load_model("nano"), load_tokenizer("nano"), BEFORE, lambda line: None)["nano-sort"]


def sample(when_right: list[list[int]]) -> BaseSamples:
    """Graded samples of one task; each question's scores."""
    return {
        "sums": [
            Sample("sums", question, number, "1+1?", "2", "2", 1, False, float(score), None, "")
            for question, scores in enumerate(when_right)
            for number, score in enumerate(scores)
        ]
    }


def test_a_run_holds_pass_at_k_under_a_key_of_its_own() -> None:
    """Beside the keys that eval.json has: powers of two up to the samples of a question, and all of them."""
    before = sample([[1, 0, 0, 0, 0, 0], [0] * 6])
    after = sample([[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
    found = compare_scores({BEFORE: before, "rollout 5": after, AFTER: after})["sums"]
    assert set(found) == {"before", "after", "difference", "during", "unreadable", "pass_at"}
    assert found["after"]["mean"] == pytest.approx(0.25)
    assert list(found["pass_at"]) == ["1", "2", "4", "6"]
    two = found["pass_at"]["2"]
    assert two["before"]["mean"] == pytest.approx((1 / 3 + 0) / 2)
    assert two["after"]["mean"] == pytest.approx(((1 - 6 / 15) + 1 / 3) / 2)
    assert two["difference"]["mean"] == pytest.approx(two["after"]["mean"] - two["before"]["mean"])
    assert two["during"]["rollout 5"]["mean"] == two["after"]["mean"]
    assert found["pass_at"]["6"]["after"] == {**found["pass_at"]["6"]["after"], "mean": 1.0, "questions": 2}
    assert found["pass_at"]["1"]["after"]["mean"] == found["after"]["mean"]


def test_one_sample_a_question_has_pass_at_1_alone() -> None:
    found = compare_scores({BEFORE: sample([[1], [0]]), AFTER: sample([[1], [1]])})["sums"]
    assert list(found["pass_at"]) == ["1"]
    assert found["pass_at"]["1"]["after"] == found["after"]
