"""A comparison's page answers first, shows each method at its own rate, and lists what could not be trained."""

from __future__ import annotations

import csv
import json
import math
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from stiefel.errors import UserError
from stiefel.report import write_report
from stiefel.report.charts import charts
from stiefel.report.evidence import read_evidence
from stiefel.report.fairness import Held, fairness
from stiefel.report.figures import FIGURES, Drawing
from stiefel.report.formats import in_latex
from stiefel.report.groups import OWN
from stiefel.report.method_paragraph import method_paragraph
from stiefel.report.runs import read_runs
from stiefel.report.table import table
from stiefel.report.verdict import verdict

from .conftest import Maker
from .test_ranking import BEFORE, LORA, RLPO, reversed_order

BEFORE_IT = "to the policy before it"
TIED = ([1, 0, 0, 0, 1, 0, 1, 0], [1, 0, 0, 0, 1, 0, 0, 0], [1, 0, 0, 1, 1, 0, 0, 0])


def said(directory: Path) -> str:
    return "\n".join(verdict(read_evidence(read_runs(directory), str, comparison=directory)))


def held(directory: Path) -> dict[str, Held]:
    return {one.name: one for one in fairness(read_evidence(read_runs(directory), str, comparison=directory))}


def test_the_answer_names_the_runs_that_fell_and_what_could_not_be_told(make: Maker) -> None:
    for seed, right in enumerate((2, 4, 3)):
        make.run("lora", seed=seed, right=([0] * 10, [1] * right + [0] * (10 - right)))
        make.run("rlpo", seed=seed, right=([0] * 10, [1] * (6 - right) + [0] * (4 + right)))
        make.run("rlpo", 1e-2, seed, rewards=[0.6] * 6 + [0.1] * 6, right=([0] * 10, [0] * 10))
    text = said(make.root)
    assert "Runs that fell, of all that were tried: 3 of rlpo at 1e-2." in text
    differences = [2 * right - 6 for right in (2, 4, 3)]
    half = stats.t.ppf(0.975, 2) * statistics.stdev(differences) / 10 / 3**0.5
    assert f"a difference below about {half:.2g} could not have been told" in text


def test_an_answer_whose_methods_are_decided_says_nothing_of_what_could_not_be_told(make: Maker) -> None:
    for seed in range(3):
        make.run("lora", seed=seed, right=([0] * 40, [0] * 40))
        make.run("rlpo", seed=seed, right=([0] * 40, [1] * (36 + seed) + [0] * (4 - seed)))
    assert "could not have been told" not in said(make.root)


def many(make: Maker, **methods: tuple[list[int], ...]) -> None:
    for method, seeds in methods.items():
        for seed, right in enumerate(seeds):
            make.run(method, seed=seed, right=(BEFORE, right))


def test_the_first_line_names_the_method_that_the_numbers_favour(make: Maker) -> None:
    many(make, lora=LORA, rlpo=RLPO)
    first, *others = said(make.root).splitlines()
    assert first.startswith("The numbers favour rlpo: it is ahead of every other method, of the closest, lora by 0.5")
    assert "ahead in 3 of 3 seeds" in first
    assert any("1 pair of methods was compared" in line for line in others)


def test_the_first_line_says_plainly_that_nothing_is_decided(make: Maker) -> None:
    many(make, lora=LORA, pissa=TIED)
    assert said(make.root).startswith("The numbers do not decide between")
    for seed in (0, 1, 2):
        make.run("rlpo", seed=seed, right=(BEFORE, RLPO[seed]))
    both = said(make.root)
    assert "3 pairs of methods were compared" in both
    assert "by Holm's correction" in both


def test_a_method_that_is_behind_in_the_seeds_of_both_is_not_favoured(make: Maker) -> None:
    reversed_order(make)
    text = said(make.root)
    assert text.startswith("The numbers favour lora over rlpo: lora is ahead of rlpo by 0.213"), text
    assert "each at its own rate: rlpo 0.700" in text
    assert "rlpo has the highest mean of its own seeds 0 and 1, but is behind lora in the seeds that both have" in text
    page = write_report(make.root).read_text()
    assert "ahead in the seeds of both by 0.213, decided" in page
    assert "lora − rlpo" in page
    make.run("pissa", right=([0] * 40, [1] * 20 + [0] * 20))
    assert said(make.root).startswith("The numbers favour lora over rlpo: lora is ahead of rlpo by 0.213")


def test_of_two_equal_means_none_is_said_to_be_above(make: Maker) -> None:
    for method in ("lora", "rlpo"):
        make.run(method, right=(BEFORE, [1, 1, 1, 1, 0, 0, 0, 0]))
    text = said(make.root)
    assert text.startswith("The numbers do not decide between lora and rlpo: lora and rlpo have the same mean"), text
    assert "above" not in text.splitlines()[0]


def test_a_method_that_is_behind_without_a_decision_is_said_to_be_so(make: Maker) -> None:
    for seed, right in enumerate(([1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0, 0], [0] * 8)):
        make.run("lora", seed=seed, right=(BEFORE, right))
    for seed in (0, 1):
        make.run("rlpo", seed=seed, right=(BEFORE, [1, 1, 1, 1, 0, 0, 0, 0]))
    text = said(make.root)
    assert text.startswith("The numbers do not decide between rlpo and lora: lora is ahead of rlpo by 0.062"), text
    assert "but is behind lora in the seeds that both have" in text


def test_a_best_rate_at_the_end_of_the_rates_is_marked(make: Maker) -> None:
    for lr, right in ((1e-4, LORA[0]), (1e-3, RLPO[0]), (1e-2, LORA[1])):
        make.run("lora", lr, right=(BEFORE, right))
        make.run("rlpo", lr, right=(BEFORE, right if lr < 1e-2 else [1] * 8))
    text = said(make.root)
    assert "Best rates: rlpo 1e-2, lora 1e-3. Of rlpo it is the highest tried: a higher one may be better.\n" in text


def test_methods_at_rates_of_their_own_stand_side_by_side(make: Maker) -> None:
    for method, lr in (("lora", 3e-4), ("full", 3e-5)):
        make.run(method, lr)
    runs = read_runs(make.root)
    assert {run.group.words for run in runs} == {OWN}
    assert [(row.series.label, row.rates) for row in table(runs)] == [("lora", (3e-4,)), ("full", (3e-5,))]
    assert {group.words for _, group, _ in charts(runs)} == {OWN}
    page = write_report(make.root).read_text()
    assert f"Reward, {OWN}" in page
    assert "Learning rates: lora 3e-4, full 3e-5." in page or "Learning rates: full 3e-5, lora 3e-4." in page


def test_rates_by_a_rule_are_one_group_however_they_turned_out(make: Maker) -> None:
    for method, rates in (("lora", (3e-4, 3.5e-4)), ("rlpo", (3e-4, 2e-4))):
        for seed, lr in enumerate(rates):
            make.run(method, lr, seed)
    assert len({run.group for run in read_runs(make.root)}) == 3
    of_run = {run.name: {"lr": run.lr, "kl": 0.02, "step": None, "reached": run.method != "rlpo"}
              for run in read_runs(make.root)}  # fmt: skip
    rule = {"rate": "kl", "budget": 0.02, "reference": None, "runs": of_run}
    (make.root / "rates.json").write_text(json.dumps(rule))
    rows = table(read_runs(make.root))
    assert [(row.series.label, row.rates, row.seeds) for row in rows] == [
        ("lora", (3e-4, 3.5e-4), (0, 1)), ("rlpo", (2e-4, 3e-4), (0, 1)),
    ]  # fmt: skip
    text = said(make.root)
    assert f"rate at which a first step takes a KL of 0.02 nats a token {BEFORE_IT}. Not reached by rlpo." in text
    write_report(make.root)
    assert "| 3e-4 to 3.5e-4 |" in (make.root / "table.md").read_text()
    assert held(make.root)[f"learning rates, each method's by the KL of its first step {BEFORE_IT}"].equal is False


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"rate": "kl", "budget": None, "reference": None},
         f"takes the KL of its own cap (optim.kl_cap) {BEFORE_IT}, which"),
        ({"rate": "matched-step", "budget": 0.25, "reference": "lora-lr0.0003-seed0"},
         "is as large as that of lora, ‖ΔW₁‖_F = 0.25."),
    ],
)  # fmt: skip
def test_the_rule_is_said_in_terms_of_methods(make: Maker, rule: dict[str, Any], words: str) -> None:
    for method, lr in (("lora", 3e-4), ("rlpo", 1e-3)):
        make.run(method, lr)
    (make.root / "rates.json").write_text(json.dumps(rule))
    assert f"Each method has the rate at which a first step {words}" in said(make.root)


def test_the_page_says_at_what_step_each_method_was_compared(make: Maker) -> None:
    steps = {"lora": (1e-3, 0.5), "full": (4.5e-3, 0.5), "ln_tuning": (1e-3, None)}
    own = {}
    for method, (kl, step) in steps.items():
        for seed in (0, 1):
            own[make.run(method, seed=seed).name] = {"lr": 1e-3, "kl": kl, "step": step, "reached": True}
    rule = {"rate": "matched-step", "budget": 0.5, "reference": "lora-lr0.001-seed0", "runs": own}
    assert f"KL of a first step {BEFORE_IT}" not in held(make.root)
    (make.root / "rates.json").write_text(json.dumps(rule))
    found = held(make.root)
    cost, size = found[f"KL of a first step {BEFORE_IT}"], found["size of a first step, ‖ΔW₁‖_F"]
    assert {*cost.value.split("; ")} == {"lora, ln_tuning 0.001", "full 0.0045"}
    assert cost.warning.startswith(f"KL of a first step {BEFORE_IT}: 0.001 (lora) to 0.0045 (full) (4.5 times)")
    assert (size.equal, size.value, size.warning) == (False, "lora, full 0.5", "")
    assert "size of a first step" in write_report(make.root).read_text()


def test_a_cap_is_named_with_the_rows_that_it_holds(make: Maker) -> None:
    cap = ["optim.kl_cap=1e-3", "optim.kl_cap_rows=other.jsonl"]
    make.run("lora", changes=cap)
    make.run("rlpo", changes=[*cap, "optim.kl_cap_total=0.05"])
    make.run("full", changes=cap[:1])
    found = held(make.root)["optimizer"]
    assert "KL cap 0.001, held on other.jsonl too and there at most 0.01 in all" in found.value
    assert "at most 0.05 in all" in found.value
    assert found.warning == "The methods differ in optimizer."


def test_a_broken_rule_is_named(make: Maker) -> None:
    make.run()
    (make.root / "rates.json").write_text(json.dumps({"rate": "guessed"}))
    with pytest.raises(UserError, match=r"rates\.json"):
        read_runs(make.root)


def test_cells_that_failed_are_listed_and_the_others_shown(make: Maker) -> None:
    make.run("lora")
    partial = make.run("rlpo", status="running", rewards=[0.1, 0.2])
    empty = make.root / "runs" / "pissa-lr0.001-seed0"
    empty.mkdir()
    for path, what in ((partial, "no room on the disk"), (empty, "100% of <memory> & more")):
        failure = {"what": f"{path.name}: {what}", "why": "it is full", "instead": "make room"}
        (path / "failed.json").write_text(json.dumps(failure))
    page = write_report(make.root).read_text()
    assert (
        f"{empty.name} could not be trained. 100% of &lt;memory&gt; &amp; more: it is full; instead: make room" in page
    )
    assert "2 of the comparison's cells could not be trained" in page
    assert "no room on the disk" in (make.root / "table.md").read_text()
    assert r"100\% of \textless{}memory\textgreater{} \& more" in (make.root / "table.tex").read_text()


def test_a_comparison_of_failed_cells_alone_says_why(make: Maker) -> None:
    path = make.root / "runs" / "lora"
    path.mkdir(parents=True)
    (path / "failed.json").write_text(json.dumps({"what": "no memory", "why": "too large", "instead": "less"}))
    with pytest.raises(UserError, match="1 could not be trained, lora: no memory"):
        read_runs(make.root)


def test_what_was_not_held_equal_is_warned_of(make: Maker) -> None:
    metrics = {"kl_base": [0.0, None, None, None, None, 0.01], "kl_step": [0.001, None, None, None, None, 0.001]}
    make.run("lora", metrics=metrics, trained=64)
    metrics = {"kl_base": [0.0, None, None, None, None, 0.04], "kl_step": [0.001, None, None, None, None, 0.001]}
    make.run("full", metrics=metrics, trained=1000, changes=["adapter.targets=q_proj"])
    found = held(make.root)
    assert found["targets"].warning == "The methods differ in targets."
    assert found["trained parameters"].warning.startswith("Trained parameters: 64 (lora) to 1,000 (full) (15.6 times)")
    assert "0.01 (lora) to 0.04 (full) (4 times)" in found["KL to the base at the end"].warning
    of_rollout = found[f"KL of a rollout {BEFORE_IT}"]
    assert (of_rollout.equal, of_rollout.warning) == (True, "")
    assert found["training"].equal
    assert "DAPO: 60 rollouts" in found["training"].value


def test_the_scale_is_the_saved_adapter_s(make: Maker) -> None:
    for method, rslora in (("lora", False), ("rslora", True)):
        adapter = make.run(method) / "adapter"
        adapter.mkdir()
        config = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "use_rslora": rslora}
        (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert held(make.root)["scale s"].value == "lora 2; rslora 8"


def test_the_method_paragraph_holds_what_matters(make: Maker) -> None:
    path = make.run("lora", 3e-4)
    make.run("rlpo", 1e-3, 1)
    manifest = json.loads((path / "manifest.json").read_text())
    more = {"hardware": {"processor": "a processor, 2 cores"}, "data": "d" * 64, "base": {"layer": "f00"}}
    (path / "manifest.json").write_text(json.dumps({**manifest, **more}))
    text = method_paragraph(read_evidence(read_runs(make.root), str, comparison=make.root))
    for part in (
        "lora and rlpo on nano (1,000 parameters, float32, weights ", "rank 8 and alpha 16 on all-linear layers",
        "64 trained parameters", "DAPO: 60 rollouts of 8 prompts × 8 completions", "dddddddddddd (seed 0)",
        "Learning rates were 3e-4 and 1e-3", "2 seeds (0 and 1)", "4 of nano-arithmetic and 4 of nano-sort",
        "temperature 0.6", "torch 2.13.0", "Hardware: a processor, 2 cores.", "clipping 1 − 0.2 to 1 + 0.28",
    ):  # fmt: skip
        assert part in text, part


def test_the_table_is_escaped_in_every_format(make: Maker) -> None:
    for rank in (4, 8):
        make.run("rlpo", changes=[f"adapter.rank={rank}", 'model.turn_ends=["a|b_c%, \\"d\\""]'])
        make.run("lora", changes=[f"adapter.rank={rank}", 'model.turn_ends=["x"]'])
    write_report(make.root)
    lines = (make.root / "table.md").read_text().splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    tex = (make.root / "table.tex").read_text()
    assert "rlpo (rank 4)" in tex
    rows = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    with (make.root / "table.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["method"], row["variant"], row["lr"]) for row in found] == [
        ("lora", "rank 4", "0.001"), ("lora", "rank 8", "0.001"), ("rlpo", "rank 4", "0.001"),
        ("rlpo", "rank 8", "0.001"),
    ]  # fmt: skip
    assert {row["tasks.nano-arithmetic.after.mean"] for row in found} == {"0.75"}


def test_latex_s_own_signs_are_taken_from_it() -> None:
    assert in_latex("50% of a_b & {c} → 1 ± 2 — x^2~\\ |d|") == (
        r"50\% of a\_b \& \{c\} $\to$ 1 $\pm$ 2 --- x\textasciicircum{}2\textasciitilde{}\textbackslash{} "
        r"\textbar{}d\textbar{}"
    )


def test_the_same_runs_give_the_same_page(make: Maker) -> None:
    many(make, lora=LORA, rlpo=RLPO)
    first = write_report(make.root).read_bytes()
    assert write_report(make.root).read_bytes() == first


def test_methods_with_several_rates_of_their_own_stand_beside_each_other_by_place(make: Maker) -> None:
    for method, rates in (("lora", (1e-4, 1e-3)), ("full", (1e-6, 1e-5))):
        for lr in rates:
            make.run(method, lr)
    found = {(run.method, run.lr): run.group.words for run in read_runs(make.root)}
    assert found == {
        ("lora", 1e-4): f"{OWN}, 1 of 2", ("full", 1e-6): f"{OWN}, 1 of 2",
        ("lora", 1e-3): f"{OWN}, 2 of 2", ("full", 1e-5): f"{OWN}, 2 of 2",
    }  # fmt: skip


def test_a_comparison_of_little_still_has_a_page(make: Maker) -> None:
    make.run("lora", status="running", rewards=[0.1, math.nan])
    assert "no run is finished yet" in write_report(make.root).read_text()
    make.run("lora", seed=1)
    assert "Only lora has finished runs" in write_report(make.root).read_text()
    make.run("rlpo", status="diverged", rewards=[0.5] * 5 + [math.nan])
    assert "rlpo has no finished run" in said(make.root) or "Only lora" in said(make.root)
    assert "1 run of 3 did: lora 0 of 2 and rlpo 1 of 1." in write_report(make.root).read_text()


def test_supervised_runs_are_compared_too(make: Maker) -> None:
    for method, right in (("lora", LORA[0]), ("rlpo", RLPO[0])):
        make.run(
            method, right=(BEFORE, right), metrics={"reward": [None] * 6, "loss": [3.0, 2.5, 2.0, 1.5, 1.2, 1.0]},
            changes=["algorithm.name=sft", "algorithm.batch=4"],
        )  # fmt: skip
    page = write_report(make.root).read_text()
    assert "after 1 epoch, 4 sequences an update, seed 0." in page
    assert "one seed decides nothing" in page
    evidence = read_evidence(read_runs(make.root), str, comparison=make.root)
    assert {"ranking", "pairs", "curve-loss"} <= {
        figure.name for figure in FIGURES if isinstance(figure.draw(evidence), Drawing)
    }
