"""Ours beside theirs: the same metric and unit, over seeds, of the paper's profile alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from stiefel.artifacts import read_json
from stiefel.cli import main
from stiefel.errors import UserError
from stiefel.report import read_runs
from stiefel.reproduction.catalogue import Entry
from stiefel.reproduction.measures import efficiency, paired, spectra
from stiefel.reproduction.numbers import own_scores, score_pairs
from stiefel.reproduction.order import order_of
from stiefel.reproduction.reproduce import reproduce
from stiefel.reproduction.show import as_lines, in_order
from stiefel.reproduction.work import Work, find_work, loaded

GRID = """
[recipe.model]
path = "nano"
[recipe.adapter]
rank = 4
alpha = 8
[recipe.rollout]
prompts = 2
completions = 4
[recipe.optim]
rollouts = 1
[recipe.run]
threads = 1
save_every = 0
samples_every = 0
[recipe.eval]
tasks = ["nano-arithmetic", "nano-sort"]
limit = 6
samples = 4
temperature = 1.0
top_p = 1.0

[axes]
"adapter.method, run.seed" = [["gaussian", 0], ["gaussian", 1], ["full", 0]]

[profile.paper.recipe.expected]
source = "a paper"
percent = true
metric = { nano-arithmetic = "pass@2", nano-sort = "avg" }
average_of = ["nano-arithmetic", "nano-sort"]
[profile.paper.recipe.expected.scores]
base = { nano-arithmetic = 50.0 }
gaussian = { nano-arithmetic = [60.0, 2.0], nano-sort = 90.0, average = 75.0 }
full = { nano-arithmetic = 70.0, gsm8k = 30.0 }

[profile.nano]
"""
ENTRY = Entry("lab/table1", "A table.", "1 s", order="nano-arithmetic", shows="more.", figure="figure-02-dynamics")


def work(place: Path, profile: str) -> Work:
    (place / "grid.toml").write_text(GRID)
    grid, runs = loaded(place / "grid.toml", (), profile)
    return Work(ENTRY, place / "grid.toml", profile, (), grid, runs)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Work, Path, dict[str, Any]]:
    """A reproduction whose paper's profile is the embedded model's: what it measures is what was published."""
    place = tmp_path_factory.mktemp("papers")
    found = work(place, "paper")
    return found, place / "out", reproduce(found, place / "out", jobs=1)


def pair(record: dict[str, Any], of: str, figure: str) -> dict[str, Any]:
    (found,) = [one for one in record["pairs"] if (one["of"], one["figure"]) == (of, figure)]
    return found


def scores(out: Path, method: str) -> list[dict[str, Any]]:
    return [read_json(path / "eval.json") for path in sorted((out / "runs").iterdir()) if path.name.startswith(method)]


def test_a_score_stands_beside_the_published_one_in_its_metric(papers: tuple[Work, Path, dict[str, Any]]) -> None:
    _, out, record = papers
    found = pair(record, "gaussian", "nano-arithmetic")
    ours = [100 * one["nano-arithmetic"]["pass_at"]["2"]["after"]["mean"] for one in scores(out, "gaussian")]
    assert (found["metric"], found["unit"], found["why"]) == ("pass@2", "%", "")
    assert found["published"] == {"mean": pytest.approx(60.0), "spread": pytest.approx(2.0), "seeds": 1}
    assert found["ours"] == {"mean": pytest.approx(fmean(ours)), "spread": pytest.approx(stdev(ours)), "seeds": 2}
    assert found["difference"] == pytest.approx(fmean(ours) - 60.0)


def test_an_average_is_of_the_same_tasks_each_in_its_metric(papers: tuple[Work, Path, dict[str, Any]]) -> None:
    _, out, record = papers
    ours = [
        50 * (one["nano-arithmetic"]["pass_at"]["2"]["after"]["mean"] + one["nano-sort"]["after"]["mean"])
        for one in scores(out, "gaussian")
    ]
    assert pair(record, "gaussian", "average")["ours"]["mean"] == pytest.approx(fmean(ours))


def test_the_base_is_ours_before_training(papers: tuple[Work, Path, dict[str, Any]]) -> None:
    _, out, record = papers
    ours = 100 * scores(out, "full")[0]["nano-arithmetic"]["pass_at"]["2"]["before"]["mean"]
    found = pair(record, "base", "nano-arithmetic")
    assert found["ours"]["mean"] == pytest.approx(ours)


def test_what_was_not_measured_is_said(papers: tuple[Work, Path, dict[str, Any]]) -> None:
    found = pair(papers[2], "full", "gsm8k")
    assert found["ours"] is None
    assert found["why"] == "not measured here"


def test_the_record_the_page_and_the_figures_are_kept_and_printed(papers: tuple[Work, Path, dict[str, Any]]) -> None:
    found, out, record = papers
    assert read_json(out / "reproduction.json") == json.loads(json.dumps(record))
    assert (out / "report.html").is_file()
    lines = "\n".join(as_lines(record, found.entry, out))
    assert "nano-arithmetic pass@2" in lines
    assert "60.00 ± 2.00" in lines
    assert "not measured here" in lines
    assert "Published: more." in lines
    assert f"Ours: {out / 'figures' / 'figure-02-dynamics.png'}" in lines or "not drawn" in lines
    assert "Published order" not in lines


def test_a_small_model_s_numbers_stand_by_themselves(papers: tuple[Work, Path, dict[str, Any]], tmp_path: Path) -> None:
    """The same runs as those of another profile: nothing of ours beside what was published, but the order."""
    _, out, record = papers
    nano, runs = work(tmp_path, "nano"), read_runs(out)
    pairs = score_pairs(nano, runs)
    assert len(pairs) == len(record["pairs"])
    assert all(one.ours is None and "profile nano" in one.why for one in pairs)
    own = {(one.of, one.figure): one.ours.mean for one in own_scores(runs) if one.ours}
    assert set(own) == {(of, task) for of in ("gaussian", "full") for task in ("nano-arithmetic", "nano-sort")}
    order = order_of(nano, runs)
    assert order is not None
    assert (list(order.published), order.pairs, order.seeds) == (["full", "gaussian"], 1, 1)
    assert order.alike == int(own["full", "nano-arithmetic"] > own["gaussian", "nano-arithmetic"])
    lines = list(as_lines({**record, "profile": "nano", "order": order.to_json()}, ENTRY, out))
    assert "Published order by nano-arithmetic: full > gaussian" in lines
    assert in_order({"rlpo": 0.7, "gaussian": 0.5, "milora": 0.5}) == "rlpo > gaussian = milora"


def test_with_other_settings_ours_is_named_as_such_and_no_difference_told(
    papers: tuple[Work, Path, dict[str, Any]],
) -> None:
    found, out, record = papers
    changes = ("optim.lr=1", 'eval.tasks=["nano-sort"]')
    changed = replace(found, changes=changes)
    pairs = [one.to_json() for one in score_pairs(changed, read_runs(out))]
    assert [one["ours"] for one in pairs] == [one["ours"] for one in record["pairs"]]
    assert any(one["difference"] is not None for one in record["pairs"])
    assert all(one["difference"] is None for one in pairs)
    assert {one["why"] for one in pairs if one["ours"]} == {f"not the published settings: {', '.join(changes)}"}
    told = {**record, "pairs": pairs, "changes": list(changes)}
    lines = list(as_lines(told, ENTRY, out))
    assert lines[0] == f"lab/table1: A table. Profile paper, changed by --set {changes[0]} --set '{changes[1]}'."
    assert any(line.startswith("No difference is told") for line in lines)


def test_what_was_published_is_no_setting_that_a_change_reaches() -> None:
    changed = find_work("rlpo/main", "paper", ["expected.percent=false"])
    assert changed.published["run"].expected.percent
    assert not changed.runs["run"].expected.percent


def test_starts_of_other_settings_have_no_difference() -> None:
    for changes, difference in (((), pytest.approx(0.89)), (("adapter.rank=4",), None)):
        found = find_work("rlpo/table4", "paper", changes)
        assert found.measure is not None
        pairs = {one.of: one for one in paired(found, found.measure, {"milora": {"norm": 6.0}})}
        assert pairs["milora"].difference == difference


def test_a_finished_one_is_left_alone_by_resume_and_another_refused(
    papers: tuple[Work, Path, dict[str, Any]], tmp_path: Path
) -> None:
    found, out, record = papers
    before = {path: path.stat().st_mtime_ns for path in out.rglob("metrics.jsonl")}
    again = reproduce(found, out, resume=True)
    assert again["pairs"] == record["pairs"]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("metrics.jsonl")} == before
    with pytest.raises(UserError, match="another reproduction"):
        reproduce(work(tmp_path, "nano"), out, resume=True)
    with pytest.raises(UserError, match="already exists"):
        reproduce(found, out)


@pytest.mark.parametrize("name", ["rlpo/table4", "rlpo/table7"])
def test_starts_are_measured_without_training(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["reproduce", name, "--profile", "nano", "--out", str(tmp_path / "out")])
    assert end.value.code == 0
    record = read_json(tmp_path / "out" / "reproduction.json")
    ours = {(one["of"], one["figure"]): one["ours"]["mean"] for one in record["pairs"] if one["ours"]}
    if name == "rlpo/table4":
        assert ours["gaussian", "norm"] == 0
        assert ours["milora", "norm"] == pytest.approx(milora_norm(), rel=1e-4)
    else:
        assert ours["nano", "minutes"] > 0
    assert "Ours alone" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["reproduction.json"]


def milora_norm() -> float:
    """‖Σ₋ᵣ‖_F of every matrix by LAPACK: the undivided start is the trailing part of W itself."""
    import torch

    from stiefel.model.targets import select_targets
    from stiefel.model.weights import load_model

    model = load_model("nano")
    norms = []
    for target in select_targets(model, "all-linear").targets:
        values = torch.linalg.svdvals(model.get_submodule(target.name).weight.detach().double())
        norms.append(float(torch.linalg.vector_norm(values[-8:])))
    return fmean(norms)


def test_what_training_costs_is_told_against_full_weights(papers: tuple[Work, Path, dict[str, Any]]) -> None:
    _, out, _ = papers
    found = efficiency([run for run in read_runs(out) if run.seed == 0])
    assert found["full"] == {"trained": 100.0}
    assert 0 < found["gaussian"]["trained"] < 10
    seconds, peak = ([rows(out, name)[0][key] for name in ("gaussian-seed0", "full-seed0")]
                     for key in ("seconds", "peak_memory_bytes"))  # fmt: skip
    assert found["gaussian"]["faster"] == pytest.approx(100 * (1 - seconds[0] / seconds[1]))
    assert found["gaussian"]["less_memory"] == pytest.approx(100 * (1 - peak[0] / peak[1]))


def test_spectra_are_those_of_the_inspection(papers: tuple[Work, Path, dict[str, Any]]) -> None:
    _, out, _ = papers
    summary = read_json(out / "runs" / "gaussian-seed0" / "inspection.json")["summary"]
    assert spectra(read_runs(out))["gaussian"] == {"NSS": summary["nss"], "S_Head": summary["s_head"]}


def test_a_real_name_runs_on_the_embedded_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Figure 9, for which nothing is trained, down to its picture."""
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as end:
        main(["reproduce", "rlpo/fig9", "--profile", "nano", "--out", str(out), "--set", "run.seed=3"])
    assert end.value.code == 0
    assert read_json(out / "reproduction.json")["changes"] == ["run.seed=3"]
    (row,) = rows(out, "rlpo")
    assert row["learning_rate"] == 0
    picture = out / "figures" / "figure-09-spectrum.png"
    assert f"Ours: {picture}" in capsys.readouterr().out
    assert picture.is_file()


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "runs" / name / "metrics.jsonl").read_text().splitlines()]


def test_a_grid_of_starts_is_not_trained(tmp_path: Path) -> None:
    from stiefel.comparison.comparison import compare

    found = find_work("rlpo/table4", "nano")
    assert found.grid is not None
    with pytest.raises(UserError, match="start-norm"):
        compare(found.grid, tmp_path / "out")
    assert not (tmp_path / "out").exists()
