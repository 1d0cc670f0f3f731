"""Four commands as functions: train, evaluate, compare and preflight, with the checks of the command line.

What a recipe or a grid is may be a file's path; a recipe may also be its tables. A mistake raises UserError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .adapter import find_adapter
from .artifacts import FAILED, GRID, MANIFEST, RUNS, require_begun
from .comparison import compare as run_grid
from .errors import UserError, refuse_both
from .evaluation import Drawn, Subject, Wanted, evaluate_into, prepare_evaluation
from .foresight import KL_BUDGET, Preflight, chosen_methods
from .foresight import preflight as look
from .recipe import Recipe, as_change, load_grid, load_recipe, make_recipe
from .report import has_rows, write_report
from .run import train as run_recipe

Source = str | Path | Mapping[str, Any]


def silent(line: str) -> None:
    """Say nothing."""


def train(
    recipe: Source,
    out: str | Path,
    *,
    profile: str = "",
    changes: Mapping[str, Any] | None = None,
    resume: bool = False,
    force: bool = False,
    say: Callable[[str], None] = silent,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> Path:
    """Train as a recipe says, as `stiefel train` does, and give the run's directory.

    recipe: a TOML file, or its tables. changes: `{"optim.lr": 1e-3}`, over the recipe. `on_row` is given each rollout's
    row of metrics.jsonl, `say` what is going on.
    """
    out = Path(out).resolve()
    settings = recipe_of(recipe, changes, profile)
    begun(out, MANIFEST, "run", resume=resume, force=force)
    named = set(changes or {})
    run_recipe(
        settings,
        out,
        resume=resume,
        force=force,
        progress=say,
        on_row=on_row,
        shared="adapter.method" in named,
        written=[key.removeprefix("adapter.") for key in named],
    )
    return out


def compare(
    grid: str | Path,
    out: str | Path,
    *,
    profile: str = "",
    changes: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    resume: bool = False,
    force: bool = False,
    say: Callable[[str], None] = silent,
) -> Path:
    """Train every point of a grid, as `stiefel compare` does, and give the directory with its table and its page.

    Without `jobs` as many run at a time as the cores have room for. Raises UserError that names the runs that failed,
    once the others have come to their end and are in the table.
    """
    out = Path(out).resolve()
    begun(out, GRID, "comparison", resume=resume, force=force)
    found = load_grid(Path(grid), texts(changes), profile)
    failed = run_grid(found, out, resume=resume, force=force, jobs=jobs, say=say)
    if not failed or has_rows(out):
        write_report(out, say=say)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(found.runs)} runs failed: {', '.join(failed)}",
            "; ".join(f"{name}: {error.what}: {error.why.splitlines()[0]}" for name, error in failed.items()),
            f"{out / RUNS}/NAME/{FAILED} says more; resume=True tries them again",
        )
    return out


def preflight(
    recipe: Source,
    methods: str | Sequence[str] = (),
    *,
    profile: str = "",
    changes: Mapping[str, Any] | None = None,
    kl_budget: float = KL_BUDGET,
    say: Callable[[str], None] = silent,
) -> Preflight:
    """The first step that a recipe would take, by each method, its size and its KL, as `stiefel preflight` does.

    methods: their names, or one text with commas between them.
    """
    named = chosen_methods(methods) if isinstance(methods, str) else methods
    return look(recipe_of(recipe, changes, profile), named, kl_budget=kl_budget, progress=say)


def evaluate(
    model: str,
    task: str,
    out: str | Path,
    *,
    adapter: str | Path | None = None,
    data: str | Path = "",
    split: str = "",
    data_revision: str = "",
    prompt_column: str = "",
    answer_column: str = "",
    chat: bool = False,
    options: Mapping[str, Any] | None = None,
    samples: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    batch: int | None = None,
    engine: str = "hf",
    dtype: str = "auto",
    revision: str = "",
    turn_ends: Sequence[str] = (),
    chat_template_options: Mapping[str, Any] | None = None,
    resume: bool = False,
    force: bool = False,
    say: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """Measure a model, with an adapter or without, on a task, as `stiefel eval` does, and give its scores.

    What is left None or empty is the task's own, or of `batch` as many as fit; docs/evaluation.md says what each is.
    Tasks of lm-eval are the command's alone.
    """
    if task.startswith("lm-eval:"):
        raise UserError(f"task = {task!r}", "lm-eval's own tasks are run by the command", f"stiefel eval --task {task}")
    out = Path(out).resolve()
    begun(out, MANIFEST, "evaluation", resume=resume, force=force)
    directory = None if adapter is None else find_adapter(Path(adapter).resolve())
    subject = Subject(model, revision, dtype, directory, tuple(turn_ends), dict(chat_template_options or {}))
    drawn = Drawn(samples, temperature, top_p, top_k, max_tokens, seed)
    asked = Wanted(
        subject=subject,
        task=task,
        out=out,
        data=str(data or ""),
        data_revision=data_revision,
        split=split,
        prompt_column=prompt_column,
        answer_column=answer_column,
        chat=chat,
        drawn=drawn,
        limit=limit,
        batch=batch,
        engine=engine,
        options=dict(options or {}),
    )
    return evaluate_into(prepare_evaluation(asked), resume=resume, force=force, say=say).summary


def recipe_of(recipe: Source, changes: Mapping[str, Any] | None, profile: str) -> Recipe:
    """The settings of a file or of tables."""
    if isinstance(recipe, Mapping):
        return make_recipe(recipe, texts(changes), profile, "the recipe")
    return load_recipe(Path(recipe), texts(changes), profile)


def texts(changes: Mapping[str, Any] | None) -> list[str]:
    """Changes as `--set` takes them."""
    if not isinstance(changes, Mapping | None):
        raise UserError(
            f"changes = {changes!r}"[:200], "changes are a mapping of keys to values", 'changes={"optim.lr": 1e-3}'
        )
    return [as_change(key, value) for key, value in (changes or {}).items()]


def begun(out: Path, first: str, kind: str, *, resume: bool, force: bool) -> None:
    """Raise for two wishes that contradict each other, and for nothing to go on with."""
    refuse_both(resume, force)
    if resume:
        require_begun(out, first, kind)
