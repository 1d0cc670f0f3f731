"""Run directories made by hand, with known numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stiefel.recipe.recipe import make_recipe
from stiefel.scores import pass_chance, usual_ks

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to open the page with")
TASK, OTHER = "nano-arithmetic", "nano-sort"
Phase = list[int] | list[list[int]]
Right = tuple[Phase, Phase]


class Maker:
    """Writes run directories as training leaves them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(
        self,
        method: str = "rlpo",
        lr: float = 1e-3,
        seed: int = 0,
        *,
        rewards: list[float] | None = None,
        right: Right = ([1, 0, 0, 0], [1, 1, 0, 1]),
        metrics: dict[str, list[Any]] | None = None,
        changes: list[str] | None = None,
        expected: dict[str, Any] | None = None,
        status: str = "finished",
        path: Path | None = None,
        trained: int = 64,
    ) -> Path:
        """One run; `right` holds each question's score, or those of its samples, of both tasks before and after."""
        path = path or self.root / "runs" / f"{method}-lr{lr:g}-seed{seed}{'-'.join(changes or [])}"
        path.mkdir(parents=True)
        rewards = rewards if rewards is not None else [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
        settings = [f"adapter.method={method}", f"optim.lr={lr}", f"run.seed={seed}", *(changes or [])]
        recipe = make_recipe({"eval": {"tasks": [TASK, OTHER]}, "expected": expected or {}}, settings)
        (path / "recipe.toml").write_text(recipe.to_toml())
        manifest = {"status": status, "seed": seed, "versions": {"stiefel": "0.1.0", "torch": "2.13.0"}}
        if status == "finished":
            manifest |= {"parameters": 1000, "trainable_parameters": trained, "base_parameters": 1000}
        (path / "manifest.json").write_text(json.dumps(manifest))
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(rewards, metrics or {})))
        if status == "finished":
            write_scores(path, right)
        return path


def rows(rewards: list[float], metrics: dict[str, list[Any]]) -> list[dict[str, float]]:
    """One row a rollout; a metric's None is left out, as where it was not measured."""
    found = []
    for number, reward in enumerate(rewards):
        row = {
            "step": number + 1,
            "reward": reward,
            "grad_norm": 0.5,
            "completion_length": 8.0 + number,
            "seconds": 2.0,
            "peak_memory_bytes": (600 + number) * 2**20,
        }
        if number in (0, len(rewards) - 1):
            row["kl_base"] = 0.01 * number
        row.update({name: values[number] for name, values in metrics.items()})
        found.append({name: value for name, value in row.items() if value is not None})
    return found


def write_scores(path: Path, right: Right) -> None:
    """samples.jsonl of both tasks, and an eval.json whose intervals are recognizable."""
    phases = {
        when: {question: one if isinstance(one, list) else [one] for question, one in enumerate(scores)}
        for when, scores in zip(("before", "after"), right, strict=True)
    }
    n = len(phases["after"][0])
    means = {when: [sum(scores) / n for scores in phase.values()] for when, phase in phases.items()}
    found = {
        **shown(means),
        "pass_at": {
            k: shown({when: [pass_chance(n, sum(one), k) for one in phase.values()] for when, phase in phases.items()})
            for k in usual_ks(n)
        },
    }
    (path / "eval.json").write_text(json.dumps({TASK: found, OTHER: found}))
    samples = [
        {
            "when": when,
            "task": task,
            "question": question,
            "sample": sample,
            "prompt": f"1+{question}?",
            "answer": str(question + 1),
            "completion": f">{question + 1 if correct else '<b>nothing</b>'}",
            "tokens": 3,
            "truncated": not correct,
            "score": float(correct),
            "extracted": None,
            "reason": "" if correct else "differs",
        }
        for when, phase in phases.items()
        for task in (TASK, OTHER)
        for question, scores in phase.items()
        for sample, correct in enumerate(scores)
    ]
    (path / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))


def shown(values: dict[str, list[float]]) -> dict[str, Any]:
    """Before, after and their difference, an eighth to either side."""
    before, after = (sum(phase) / len(phase) for phase in values.values())
    return {
        name: {"mean": mean, "low": mean - 0.125, "high": mean + 0.125, "questions": len(values["before"])}
        for name, mean in (("before", before), ("after", after), ("difference", after - before))
    }


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "comparison")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()
