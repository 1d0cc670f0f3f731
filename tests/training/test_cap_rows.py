"""`optim.kl_cap_rows`: other text on which an update may not cost more than its share either."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import stiefel
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from stiefel.training.cap import AT_MOST, used_up
from stiefel.training.cap_rows import CapRow, RowCost, cap_rows
from tests.training.test_cap import logged, trained

ROWS = [{"prompt": "12+34?", "answer": ">46"}, {"prompt": "9-5?", "answer": ">4"}, {"text": "1+1?>2"}]


@pytest.fixture
def file(tmp_path: Path) -> Any:
    """file(rows): written as JSON lines."""

    def write(rows: list[Any]) -> Path:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def moved(model: Any, size: float) -> None:
    """Every weight moved a little, seeded."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def test_the_cost_is_the_kl_over_the_whole_vocabulary_at_the_answers_positions(file: Any) -> None:
    """Against a sum in float64 over each row by itself, which no padding stands beside."""
    tokenizer, model = load_tokenizer("nano"), load_model("nano")
    rows = cap_rows(file(ROWS), tokenizer, 0)
    cost = RowCost(rows, 2, torch.device("cpu"))
    cost.refer(model)
    cost.begin(model)
    assert cost.sums(model)[:2].tolist() == [0, 0]
    assert cost.drift()[0] == 0

    def scored() -> list[Any]:
        return [
            model(torch.tensor([row.tokens])).logits[0, row.start - 1 : -1].double().log_softmax(-1) for row in rows
        ]

    with torch.no_grad():
        old = scored()
        moved(model, 3e-3)
        new = scored()
    expected = torch.stack([(n.exp() * (n - o)).sum() for n, o in zip(new, old, strict=True)]).sum()
    total, drift, positions = cost.sums(model).tolist()
    assert drift == total  # the policy before this update is that to stay near to
    cost.begin(model)
    assert cost.drift().tolist() == [drift, positions]
    assert cost.sums(model).tolist() == [0, drift, positions]
    assert total == pytest.approx(float(expected), rel=1e-3)
    answers = [len(tokenizer(row["answer"], add_special_tokens=False)["input_ids"]) + 1 for row in ROWS[:2]]
    assert positions == sum(answers) + len(tokenizer("1+1?>2")["input_ids"]) - 1


def test_no_update_costs_more_on_the_rows_than_its_share(file: Any, tmp_path: Path) -> None:
    rows = cap_rows(file(ROWS), load_tokenizer("nano"), 0)
    cap = 2e-3
    alone = trained("rlmo", tmp_path / "alone", kl_cap=cap)
    both = trained("rlmo", tmp_path / "both", kl_cap=cap, kl_cap_rows=rows)
    spent, elsewhere = logged(both, "kl_update"), logged(both, "kl_rows")
    assert len(spent) == len(elsewhere) == 4
    assert max(spent + elsewhere) <= AT_MOST * cap / 2
    assert logged(alone, "kl_rows") == []
    assert min(logged(both, "step_scale")) < 1


def test_all_updates_together_stay_within_the_total(file: Any, tmp_path: Path) -> None:
    """Updates that each cost less than their share go far in one direction; the KL is that to the base."""
    rows = cap_rows(file(ROWS), load_tokenizer("nano"), 0)
    settings: dict[str, Any] = {"kl_cap": 2e-3, "kl_cap_rows": rows, "rollouts": 6}
    free = logged(trained("rlmo", tmp_path / "free", kl_cap_total=1.0, **settings), "kl_rows_total")
    total = free[-1] / 4
    run = trained("rlmo", tmp_path / "held", kl_cap_total=total, **settings)
    held = logged(run, "kl_rows_total")
    assert len(held) == 12
    assert max(held) <= AT_MOST * total
    cost = RowCost(rows, 2, torch.device("cpu"))
    cost.refer(load_model("nano"))
    cost.begin(run.model)
    drift, count = cost.drift().tolist()
    assert drift / count == pytest.approx(held[-1], rel=1e-3)
    none = trained("rlmo", tmp_path / "none", kl_cap_total=0, **settings)
    assert logged(none, "kl_rows_total") == []


class TwoRoundings(stiefel.GRPOTrainer):
    """Scores as in a 16-bit type do, with rounding of its own for the update's tokens and for the rows."""

    narrow, own, rows = True, 3e-3, 1e-4

    def _costs_now(self) -> list[float]:
        own, rows = super()._costs_now()
        return [own + self.own, rows + self.rows]


def test_the_rounding_of_one_cost_is_not_taken_off_the_other(file: Any, tmp_path: Path) -> None:
    """Rows that truly cost too much are held where the update's own tokens are rounded by more than a share."""
    rows = cap_rows(file(ROWS), load_tokenizer("nano"), 0)
    settings: dict[str, Any] = {"kl_cap": 2e-3, "kl_cap_rows": rows, "kl_cap_total": 0.0}
    exact, run = (
        trained("rlmo", tmp_path / kind.__name__, kind=kind, **settings) for kind in (stiefel.GRPOTrainer, TwoRoundings)
    )
    assert max(logged(run, "kl_rows")) <= AT_MOST * 1e-3
    assert logged(run, "step_scale") == pytest.approx(logged(exact, "step_scale"), rel=0.1)
    assert logged(run, "kl_rounding") == pytest.approx([3e-3] * 4, rel=0.02)


@pytest.mark.parametrize(
    ("before", "now", "part"), [(0.0, 0.005, 0.0), (0.004, 0.013, 1.5), (0.02, 0.019, 0.0), (0.02, 0.03, math.inf)]
)
def test_what_is_left_of_the_total_counts_as_a_share(before: float, now: float, part: float) -> None:
    assert used_up(before, now, 0.01) == pytest.approx(part)
    assert used_up(before, now, 0.0) == 0


def test_rows_that_cost_nothing_leave_the_cap_as_it_is(tmp_path: Path) -> None:
    """A text of the start alone: what follows <bos> in nano's texts is nothing that these steps move much."""
    settings: dict[str, Any] = {"kl_cap": 1e3, "lr": 1e-3, "kl_cap_total": 0.0}
    alone = trained("rlpo", tmp_path / "alone", **settings)
    both = trained("rlpo", tmp_path / "both", kl_cap_rows=[CapRow([1, 5, 6], 1)], **settings)
    assert logged(alone, "kl_update") == logged(both, "kl_update")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "is empty"),
        ([{"text": ""}], "row 1 of .* holds neither a text nor a prompt and its answer"),
        ([{"text": "1+1?>2"}, {"prompt": "1+1?"}], "row 2 of .* holds neither"),
        ([{"prompt": "1+1?", "answer": 2}], r'(?s)the answer in row 1 of .* is a number, 2.*"answer": "2"'),
        ([{"prompt": "1+1?", "answer": True}], "row 1 of .* holds neither"),
        ([{"text": "HELLO"}], "row 1 of .* holds signs that the model's tokenizer does not know"),
        ([{"prompt": "1+1?", "answer": ">" + "1+" * 400}], "(?s)row 1 of .* has 8.. tokens.*context"),
    ],
)
def test_rows_that_the_model_cannot_take_are_refused_by_name(rows: list[Any], said: str, file: Any) -> None:
    with pytest.raises(UserError, match=said):
        cap_rows(file(rows), load_tokenizer("nano"), 512)


def test_a_file_that_is_not_there_and_rows_without_a_cap_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no file"):
        cap_rows(tmp_path / "absent.jsonl", load_tokenizer("nano"), 0)
    with pytest.raises(UserError, match=r"optim\.kl_cap_total = 0\.5 without optim\.kl_cap_rows"):
        make_recipe({"optim": {"kl_cap": 1e-3, "kl_cap_total": 0.5}})
    with pytest.raises(UserError, match=r"optim\.kl_cap_rows = 'rows\.jsonl' without optim\.kl_cap"):
        make_recipe({"optim": {"kl_cap_rows": "rows.jsonl"}})


def test_a_script_names_the_file_of_its_rows(file: Any, tmp_path: Path) -> None:
    path, settings = file(ROWS), {"kl_cap": 2e-3, "rollouts": 1}
    read = trained("rlmo", tmp_path / "read", kl_cap_rows=cap_rows(path, load_tokenizer("nano"), 0), **settings)
    named = trained("rlmo", tmp_path / "named", kl_cap_rows=str(path), **settings)
    assert logged(named, "kl_rows") == logged(read, "kl_rows") != []
    with pytest.raises(UserError, match=r"(?s)row 1 of .* has 8.. tokens.*context is 256"):
        trained("rlmo", tmp_path, kl_cap_rows=file([{"text": "1+" * 400}]), **settings)
    with pytest.raises(UserError, match="kl_cap_rows holds no rows"):
        trained("rlmo", tmp_path, kl_cap_rows=["1+1?>2"], **settings)
    with pytest.raises(UserError, match="kl_cap_rows without kl_cap"):
        trained("rlmo", tmp_path, kl_cap_rows=str(path))


def test_a_run_holds_the_rows_of_its_recipe_and_goes_on_with_no_others(file: Any, tmp_path: Path) -> None:
    path = file(ROWS)
    recipe = make_recipe(
        {
            "optim": {"rollouts": 2, "lr": 0.02, "kl_cap": 1e-3, "kl_cap_rows": str(path)},
            "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
            "run": {"threads": 1, "save_every": 1},
        }
    )

    def stop(row: dict[str, Any]) -> None:
        assert 0 <= row["kl_rows"] <= AT_MOST * 5e-4
        if row["step"] == 2:  # the first rollout's checkpoint is there
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", on_row=stop)
    file(ROWS[:2])
    with pytest.raises(UserError, match="was started on other rows"):
        train(recipe, tmp_path / "run", resume=True)
    file(ROWS)
    train(recipe, tmp_path / "run", resume=True)
