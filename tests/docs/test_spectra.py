"""docs/spectra.md is what the kept results say, and its verdicts follow from the numbers alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from scripts.results import results
from scripts.spectra import PAGE, page
from scripts.spectral_claims import CLAIMS, full_is_spread
from scripts.spectral_study import Finding, Study, above, below, interval, together


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(results("spectra")), "run `python -m scripts.spectra`"


def test_three_seeds_and_every_method_are_kept() -> None:
    kept = results("spectra")
    methods = {variant["method"] for variant in kept["variants"]}
    assert {"lora", "rlpo", "rlmo", "pissa", "milora", "geora", "olora", "olora_tail", "full"} <= methods
    assert all(len(variant["seeds"]) >= 3 for variant in kept["variants"])


def test_an_interval_is_students() -> None:
    found = interval([1.0, 2.0, 3.0])  # s = 1, t(0.975, 2) = 4.3027, over √3
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2 - 2.48414, 2 + 2.48414), abs=1e-5)
    assert above("", interval([5.0]), 1.0, "").verdict == "not decided"


def test_a_verdict_needs_the_whole_interval() -> None:
    clear, wide = interval([2.0, 2.1, 2.2]), interval([0.5, 1.5, 2.5])
    assert (above("", clear, 1.0, "").verdict, below("", clear, 1.0, "").verdict) == ("appears", "does not appear")
    assert above("", wide, 1.0, "").verdict == below("", wide, 1.0, "").verdict == "not decided"


def test_answers_that_differ_are_a_part_and_an_open_one_decides_nothing() -> None:
    yes, no, open_ = (Finding("", "", verdict) for verdict in ("appears", "does not appear", "not decided"))
    assert together([yes, yes]) == "appears"
    assert together([no, no]) == "does not appear"
    assert together([yes, no]) == "in part"
    assert together([yes, open_]) == together([yes, no, open_]) == "not decided"


def test_a_part_says_of_what() -> None:
    """PiSSA's gradients are larger than LoRA's, MiLoRA's are not: both are said, none is left open."""
    (line,) = [line for line in PAGE.read_text().splitlines() if line.startswith("- PiSSA and MiLoRA have larger")]
    assert line.endswith(": yes of pissa / lora; no of milora / lora")


@pytest.mark.parametrize(
    ("head", "tail", "verdict"),
    [(0.07, 0.06, "appears"), (0.3, 0.06, "does not appear"), (0.07, 0.01, "does not appear")],
)
def test_a_spread_needs_both_ends(head, tail, verdict) -> None:
    kept = copy.deepcopy(results("spectra"))
    for variant in kept["variants"]:
        for end, value in (("head", head), ("tail", tail)):
            variant["all"][f"s_{end}"]["values"] = [value - 0.001, value, value + 0.001]
    assert [found.verdict for found in full_is_spread(Study(kept))] == [verdict, verdict]


def test_a_premise_that_fails_hides_no_measurement() -> None:
    (claim,) = [claim for claim in CLAIMS if claim.says.startswith("without Σ")]
    kept = copy.deepcopy(results("spectra"))
    failed = claim.findings(Study(kept))
    assert {found.verdict for found in failed} == {"cannot be asked here"}
    assert [found.of for found in failed] == ["σ_r", "pissa / olora", "milora / olora_tail"]
    kept["base"]["sigma_r"] = 2.0
    asked = claim.findings(Study(kept))
    assert [found.of for found in asked] == ["pissa / olora", "milora / olora_tail"]
    assert {found.verdict for found in asked} == {"does not appear"}


def exchanged(first: str, second: str) -> dict[str, Any]:
    """The kept results with two methods' names exchanged."""
    kept = copy.deepcopy(results("spectra"))
    names = {first: second, second: first}
    for variant in kept["variants"]:
        variant["method"] = names.get(variant["method"], variant["method"])
    return kept


def test_other_numbers_give_other_verdicts() -> None:
    """RLPO's A for RLMO's, and the reverse: what is said of them does not hold of the other."""
    (claim,) = [claim for claim in CLAIMS if "RLPO's A stays" in claim.says]
    measured, swapped = (claim.findings(Study(kept)) for kept in (results("spectra"), exchanged("rlpo", "rlmo")))
    assert together(swapped) == "does not appear"
    assert together(measured) != together(swapped)
    assert page(exchanged("rlpo", "rlmo")) != PAGE.read_text()


@pytest.mark.parametrize(("method", "says"), [("pissa", "PiSSA's S_Head is"), ("geora", "GeoRA's update barely")])
def test_s_head_is_asked_of_the_change_and_of_sba(method: str, says: str) -> None:
    """The published 0.98 and 0.02 appear in one reading alone, so that a question of the other is half a question."""
    (claim,) = [claim for claim in CLAIMS if claim.says.startswith(says)]
    change, product = claim.findings(Study(results("spectra")))
    assert (change.of, product.of) == (f"{method}, S_Head of the change", f"{method}, S_Head of sBA")
    assert (change.verdict, product.verdict) == ("does not appear", "appears")
    kept = copy.deepcopy(results("spectra"))
    for variant in kept["variants"]:
        variant["all"]["s_head_product"] = variant["all"]["s_head"]
    assert {found.verdict for found in claim.findings(Study(kept))} == {"does not appear"}


def test_s_head_of_sba_is_that_of_the_change_where_nothing_is_anchored() -> None:
    kept = results("spectra")
    for variant in kept["variants"]:
        same = variant["all"]["s_head_product"] == variant["all"]["s_head"]
        assert same != (variant["method"] in ("pissa", "milora", "olora", "olora_tail", "geora")), variant["method"]


def test_runs_that_were_repeated_are_said_and_agree() -> None:
    kept = results("spectra")
    for method, again in kept.get("repeated", {}).get("s_head", {}).items():
        assert again["mean"] == pytest.approx(Study(kept).mean(method, "s_head"), rel=0.05)
        assert f"`{method}` {100 * again['mean']:.3g}% for" in PAGE.read_text()
