"""An evaluation's directory: manifest.json, samples.jsonl while it grows, eval.json at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..artifacts import (
    EVAL,
    MANIFEST,
    SAMPLES,
    check_room,
    discard,
    is_evaluation,
    read_json,
    room_for,
    versions,
    write_json,
)
from ..engine import require_vllm, vllm_version
from ..errors import UserError
from ..rewards import GraderFailure
from .hf import HFEngine
from .journal import append, read_samples, whole_batches
from .prepared import Prepared, as_begun
from .run import sample_batch
from .sample import Engine, Sample
from .subject import load_subject
from .summary import summarise
from .vllm import ASKED, OTHERWISE, VLLMEngine

# where a model or its data lie: another place with the same contents is the same evaluation
PLACES = frozenset({"model.name", "model.revision", "adapter.path", "origin.path"})

Progress = Callable[[int, int], None]  # (samples done, of how many)


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation."""

    path: Path
    settings: dict[str, Any]
    samples: list[Sample]
    summary: dict[str, Any]


def evaluate_into(
    prepared: Prepared,
    *,
    resume: bool = False,
    force: bool = False,
    progress: Progress = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Evaluate and leave a directory; samples are written a batch at a time.

    With `resume` a finished evaluation is left alone, and an unfinished one goes on after its last whole batch: it ends
    in the bytes of one that was never interrupted, and nothing is sampled twice. With `force` the directory is replaced
    once the model is loaded. Raises UserError for a directory that holds something else, or another evaluation.
    """
    out = prepared.wanted.out
    again = resume and (out / MANIFEST).is_file()
    if again:
        prepared = as_begun(prepared, settings_of(out))
        same_settings(out, prepared.settings)
        if read_json(out / MANIFEST)["status"] == "finished":
            say(f"{out} is finished")
            return read_evaluation(out)
    elif resume:
        say(f"{out} holds no evaluation to go on with: beginning a new one")
    check_room(out, force=force or again, kind="evaluation")
    if prepared.wanted.engine == "vllm":
        require_vllm(ASKED, OTHERWISE)
    done = whole_batches(out / SAMPLES, prepared.batches) if again else []
    total = sum(map(len, prepared.batches))
    if again:
        say(f"{out}: going on after {len(done)} of {total} samples")
    if len(done) < total:
        engine = make_engine(prepared)
        if not again:
            begin(out, prepared.settings)
        progress(len(done), total)
        done = sample_rest(prepared, engine, done, progress)
    ordered = sorted(done, key=lambda sample: (sample.question, sample.sample))
    summary = summarise(ordered, prepared.settings)
    write_json(out / EVAL, summary)
    write_json(out / MANIFEST, manifest(prepared.settings, "finished"))
    return Evaluation(out, prepared.settings, ordered, summary)


def sample_rest(prepared: Prepared, engine: Engine, done: list[Sample], progress: Progress) -> list[Sample]:
    """The batches that are not there yet, each written when it is graded."""
    path = prepared.wanted.out / SAMPLES
    total = sum(map(len, prepared.batches))
    passed = 0
    for jobs in prepared.batches:
        passed += len(jobs)
        if passed <= len(done):
            continue
        try:
            batch = sample_batch(engine, prepared.task, prepared.questions, jobs, prepared.sampling.seed)
        except GraderFailure as failure:
            raise UserError(
                str(failure),
                "nothing is known of these completions, and scored 0 they would look like a weak model",
                "mend the cause and go on with --resume: the batches before this one are kept",
            ) from failure
        append(path, batch)
        done = done + batch
        progress(len(done), total)
    return done


def make_engine(prepared: Prepared) -> Engine:
    """The model, loaded, with its adapter in place."""
    subject, sampling, stop = prepared.wanted.subject, prepared.sampling, prepared.stop
    if prepared.wanted.engine == "vllm":
        return VLLMEngine(subject, prepared.tokenizer, sampling, stop, prepared.longest)
    return HFEngine(load_subject(subject, prepared.tokenizer), prepared.tokenizer, sampling, stop)


def begin(out: Path, settings: dict[str, Any]) -> None:
    """An empty evaluation in place of whatever was there, which `check_room` has looked at."""
    if out.is_dir():
        discard(out)
    with room_for(out):
        out.mkdir(parents=True)
    write_json(out / MANIFEST, manifest(settings, "running"))


def manifest(settings: dict[str, Any], status: str) -> dict[str, Any]:
    """What manifest.json says from the first moment on."""
    engine = {"vllm": vllm_version()} if settings["engine"] == "vllm" else {}
    return {"status": status, **settings, "versions": versions() | engine}


def read_evaluation(path: Path) -> Evaluation:
    """A finished evaluation's directory; raises UserError for one that is none."""
    if not all((path / name).is_file() for name in (MANIFEST, SAMPLES, EVAL)):
        raise UserError(
            f"{path} holds no finished evaluation",
            f"{MANIFEST}, {SAMPLES} or {EVAL} is missing",
            "give a directory that `stiefel eval` wrote, to its end: --resume",
        )
    found = settings_of(path)
    if read_json(path / MANIFEST)["status"] != "finished":
        raise UserError(f"{path} is not finished", "some of its samples are missing", "go on with it: --resume")
    samples = sorted(read_samples(path / SAMPLES), key=lambda sample: (sample.question, sample.sample))
    return Evaluation(path, found, samples, read_json(path / EVAL))


def settings_of(path: Path) -> dict[str, Any]:
    """The settings in an evaluation's manifest; raises UserError for the manifest of something else."""
    found = read_json(path / MANIFEST)
    if not is_evaluation(found):
        raise UserError(f"{path} is no evaluation", f"its {MANIFEST} is another command's", "give another directory")
    return {key: value for key, value in found.items() if key not in ("status", "versions")}


def same_settings(path: Path, settings: dict[str, Any]) -> None:
    """Raise, naming what differs, if the evaluation in `path` was started with other settings."""
    before, now = by_path(settings_of(path)), by_path(settings)
    different = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    if set(different) - PLACES:
        named = "; ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in different)
        raise UserError(
            f"{path} was started with other settings: {named}",
            "going on would mix two evaluations in one",
            "give the same settings, another --out, or --force to begin again",
        )


def by_path(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} → {"a.b": 1}."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= by_path(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
