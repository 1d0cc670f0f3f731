"""A grid whose rates a validation chose: ranked by the chosen runs' test, with the validation over every rate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pytest

from stiefel.report import failure_lines, write_report
from stiefel.report.evidence import Evidence, read_evidence
from stiefel.report.pairs import pairs
from stiefel.report.ranking import Ranking
from stiefel.report.runs import read_runs
from stiefel.report.verdict import verdict

from .conftest import Maker
from .test_figures import draw, panel
from .test_ranking import BEFORE, LORA, RLPO

CHOSEN = {"lora": 1e-3, "rlpo": 1e-4}
RATES, SEEDS = (1e-4, 1e-3), (0, 1)


@dataclass(frozen=True)
class Tuned:
    """The comparison's directory, its chosen runs and what they have on the validation."""

    root: Path
    chosen: list[str]
    validation: dict[str, float]

    def evidence(self) -> Evidence:
        return read_evidence(read_runs(self.root), str, comparison=self.root)

    def ranking(self) -> Ranking:
        found = self.evidence().ranking
        assert isinstance(found, Ranking), found
        return found

    def said(self) -> str:
        return "\n".join(verdict(self.evidence()))

    def without_its_test(self, name: str) -> None:
        (self.root / "runs" / name / "eval.json").write_text("{}")


@pytest.fixture
def tuned(make: Maker) -> Tuned:
    """lora has the higher rewards, rlpo the higher test; a run that is not chosen has the samples of an older test."""
    chosen, validation = [], {}
    for method, rights in (("lora", LORA), ("rlpo", RLPO)):
        for lr in RATES:
            for seed in SEEDS:
                mine = lr == CHOSEN[method]
                right = rights[seed] if mine else [1] * 8
                run = make.run(method, lr, seed, right=(BEFORE, right), rewards=[0.9 if method == "lora" else 0.1] * 6)
                validation[run.name] = 0.5 + 0.1 * seed if mine else 0.25
                if mine:
                    chosen.append(run.name)
                else:
                    (run / "eval.json").write_text("{}")
    rule = {"rate": "tuned", "validation": validation, "chosen": chosen}
    (make.root / "rates.json").write_text(json.dumps(rule))
    return Tuned(make.root, chosen, validation)


def test_a_tuned_grid_is_ranked_by_the_test_of_its_chosen_runs(tuned: Tuned) -> None:
    found = tuned.ranking()
    assert [(cell.series.label, cell.rates) for cell in found.best] == [("rlpo", (1e-4,)), ("lora", (1e-3,))]
    assert [cell.estimate.mean for cell in found.best] == [
        pytest.approx(fmean(fmean(rights[seed]) for seed in SEEDS)) for rights in (RLPO, LORA)
    ]
    (one,) = pairs(found)
    assert (one.higher.series.label, one.seeds, one.questions) == ("rlpo", SEEDS, 8)
    assert len(found.rates_of(one.higher.series)) == 2, "the rates that were tried are known"
    text = tuned.said()
    assert "Accuracy on nano-arithmetic after training, each at its best rate: rlpo 0.8" in text
    assert "chosen on a validation, apart from these scores" in text
    assert "without a test" not in text


def test_a_chosen_run_without_its_test_is_named_and_left_out(tuned: Tuned) -> None:
    tuned.without_its_test("lora-lr0.001-seed1")
    assert {cell.series.label: list(cell.scores) for cell in tuned.ranking().best} == {"rlpo": [0, 1], "lora": [0]}
    assert (
        "Chosen, but without a test, so that they are missing from these numbers: lora-lr0.001-seed1." in tuned.said()
    )
    tuned.without_its_test("lora-lr0.001-seed0")
    text = tuned.said()
    assert text.startswith("Only rlpo has a test, so that there is nothing to compare it with: its accuracy")
    assert "lora-lr0.001-seed0 and lora-lr0.001-seed1." in text
    for name in tuned.chosen:
        tuned.without_its_test(name)
    assert tuned.said() == "The methods are not ranked: no run at a chosen rate has its test yet."


def test_the_validation_is_drawn_over_every_rate(tuned: Tuned) -> None:
    drawing = draw("rate-curves", tuned.root, comparison=tuned.root)
    on_validation = panel(drawing, "Score on the validation")
    assert {place: row["value"] for place, row in on_validation.items()} == {
        (method, lr): pytest.approx(0.55 if lr == CHOSEN[method] else 0.25) for method in CHOSEN for lr in RATES
    }
    assert on_validation["lora", 1e-3]["high"] == 0.6
    assert panel(drawing, "Accuracy on nano-arithmetic").keys() == set(CHOSEN.items())
    assert "the chosen ones alone have a test" in drawing.caption
    for chart in drawing.on_page():  # a panel of one rate alone would have none to lay it on
        assert '"domain": [0.0001, 0.001]' in json.dumps(chart.to_dict())


def test_a_run_that_did_not_finish_counts_as_nothing_on_the_curve_as_in_the_choice(tuned: Tuned) -> None:
    lost = tuned.root / "runs" / "rlpo-lr0.001-seed0"
    manifest = json.loads((lost / "manifest.json").read_text())
    (lost / "manifest.json").write_text(json.dumps({**manifest, "status": "diverged"}))
    rule = json.loads((tuned.root / "rates.json").read_text())
    rule["validation"][lost.name] = 0.0
    (tuned.root / "rates.json").write_text(json.dumps(rule))
    drawing = draw("rate-curves", tuned.root, comparison=tuned.root)
    row = panel(drawing, "Score on the validation")["rlpo", 1e-3]
    assert (row["value"], row["low"], row["seeds"]) == (0.125, 0.0, 2)
    assert "did not finish counts as 0" in drawing.caption
    assert "Left out of the rest, for they did not finish: 1 run." in drawing.caption


def test_a_test_that_could_not_be_measured_is_told(tuned: Tuned) -> None:
    """Until it is; a run is then whole, whoever went on with it."""
    name, other = tuned.chosen[:2]
    scores = (tuned.root / "runs" / name / "eval.json").read_text()
    tuned.without_its_test(name)
    failure = {"what": f"{name}: it ran out of memory", "why": "Python had none left", "instead": "fewer --jobs"}
    for run in (name, other):
        (tuned.root / "runs" / run / "failed.json").write_text(json.dumps(failure))
    page = write_report(tuned.root).read_text()
    line = (
        f"The test of {name} could not be measured. it ran out of memory: Python had none left; instead: fewer --jobs"
    )
    assert line in page
    assert "1 of the comparison&#39;s cells was trained, but not measured" in page.replace("'", "&#39;")
    assert "could not be trained" not in page
    assert line in (tuned.root / "table.md").read_text()
    assert failure_lines(tuned.root) == [f"failed: {name}: {failure['what']}"], "the other has its scores"
    (tuned.root / "runs" / name / "eval.json").write_text(scores)
    assert failure_lines(tuned.root) == []
