"""docs/glossary.md has every figure and every file that a run of nano leaves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stiefel
from stiefel.artifacts import CONTENTS, read_json, read_jsonl
from stiefel.training.metrics import NAMES
from tests.docs.pages import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory' argument")  # the Trainer's default, without a GPU

PAGE = (ROOT / "docs" / "glossary.md").read_text()
WITH_ALL = {
    "optim.rollouts": 2,
    "optim.kl_cap": 1e-3,
    "optim.kl_cap_rows": str(ROOT / "recipes/nano/skills.jsonl"),
    "adapter.method": "pissa+lora_plus",
    "algorithm.beta": 0.01,
    "algorithm.dynamic_sampling": True,
    "rollout.prompts": 2,
    "rollout.completions": 4,
    "rollout.max_completion_tokens": 16,
    "run.geometry_every": 1,
    "run.save_every": 1,
    "eval.limit": 1,
    "eval.every": 1,
    "eval.validation": 1,
}


def explained(heading: str) -> set[str]:
    """The names in the first column of a section's table, and in what stands beside it."""
    _, _, below = PAGE.partition(f"## {heading}\n")
    assert below, heading
    return set(re.findall(r"`([^`]+)`", re.split(r"^## ", below, flags=re.MULTILINE)[0]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of nano that writes all that one without vLLM can write."""
    return stiefel.train(ROOT / "recipes/nano/dapo.toml", tmp_path_factory.mktemp("glossary") / "run", changes=WITH_ALL)


def test_every_figure_of_a_row_is_explained(run: Path) -> None:
    rows = read_jsonl(run / "metrics.jsonl")
    named = {re.sub("^learning_rate_.*", "learning_rate_NAME", key) for row in rows for key in row}
    assert named >= {"kl_rows_total", "sampled_groups", "kl_reference", "learning_rate_NAME"}  # the run had them all
    assert named - explained("metrics.jsonl") == set()
    assert set(NAMES) - explained("metrics.jsonl") == set()


def test_every_figure_of_the_geometry_is_explained(run: Path) -> None:
    rows = read_jsonl(run / "geometry.jsonl")
    of_layers = {key for row in rows for layer in row["layers"] for key in layer}
    assert {*rows[0], *rows[0]["summary"], *of_layers} - explained("geometry.jsonl") == set()


def test_every_score_and_every_sample_is_explained(run: Path) -> None:
    scores = read_json(run / "eval.json")
    for by_task in scores.values():
        assert set(by_task) | set(by_task["before"]) | set(by_task["pass_at"]["1"]) <= explained("eval.json")
    assert {key for row in read_jsonl(run / "samples.jsonl") for key in row} <= explained("samples.jsonl")


def test_every_key_of_the_manifest_is_explained(run: Path) -> None:
    assert set(read_json(run / "manifest.json")) - explained("manifest.json") == set()


def test_every_file_is_explained(run: Path) -> None:
    adapter, checkpoint = run / "adapter", next((run / "checkpoints").iterdir())
    for directory, heading in (
        (run, "A run's directory"),
        (adapter, "An adapter's directory"),
        (checkpoint, "A checkpoint"),
    ):
        said = {name.rstrip("/") for name in explained(heading)}
        assert {path.name for path in directory.iterdir()} - said == set(), heading


def test_every_file_that_a_run_may_hold_is_explained() -> None:
    (files,) = CONTENTS["run"]
    assert set(files) - {name.rstrip("/") for name in explained("A run's directory")} == set()
    (first, second, _) = CONTENTS["adapter"]
    assert {*first, *second} - explained("An adapter's directory") == set()
