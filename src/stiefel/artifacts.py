"""Files and directories that are either whole or absent: written beside their place, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from .errors import UserError

# what a run directory holds, a comparison's and a choice's
RECIPE, MANIFEST, METRICS, SAMPLES, EVAL = "recipe.toml", "manifest.json", "metrics.jsonl", "samples.jsonl", "eval.json"
ADAPTER, BEST, CHECKPOINTS, EVENTS = "adapter", "best", "checkpoints", "events.jsonl"
GEOMETRY, EVALUATED = "geometry.jsonl", "evaluated"  # the latter while a run goes on
SYNCS = "syncs.jsonl"  # what the engine was sent
MEASURED = "measured"  # what is done of an evaluation while it goes on
VALIDATION = "validation.json"  # of a run with a validation split: its scores there
INSPECTION, FIGURES = "inspection.json", "figures"
GRID, RUNS, BASES = "grid.toml", "runs", "base"
RATES = "rates.json"  # of a comparison whose grid says how the runs' rates are found
FAILED = "failed.json"  # in a run of a comparison that failed: what, why and instead
REPRODUCTION = "reproduction.json"
CHOICE = "choice.json"  # what was chosen of a grid
CERTIFICATE = "stiefel.json"  # in an adapter directory
CARD = "README.md"  # likewise
STATE = "stiefel_state.json"  # in a checkpoint, beside the Trainer's own trainer_state.json
# by kind: a directory of ours holds one of its lists, the list's first name at least, and nothing else
CONTENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "run": (
        (
            *(MANIFEST, RECIPE, METRICS, SAMPLES, EVAL, ADAPTER, BEST, CHECKPOINTS, EVENTS),
            *(
                VALIDATION,
                GEOMETRY,
                SYNCS,
                EVALUATED,
                MEASURED,
                INSPECTION,
                FIGURES,
                FAILED,
                REPRODUCTION,
                "report.html",
                "tensorboard",
                "wandb",
            ),
        ),
    ),
    "evaluation": ((MANIFEST, SAMPLES, EVAL),),
    "comparison": (
        (
            *(GRID, RUNS, BASES, RATES, "table.json", "table.md", "table.tex", "table.csv", "report.html"),
            *(FIGURES, REPRODUCTION),
        ),
    ),
    "choice": (
        (CHOICE, GRID, RUNS, BASES, "table.json", "table.md", "table.tex", "table.csv", "report.html", FIGURES),
    ),
    "reproduction": ((REPRODUCTION,),),
    "adapter": (
        (CERTIFICATE, "adapter_config.json", "adapter_model.safetensors", "anchors.safetensors", CARD),
        (CERTIFICATE, "weights.safetensors", CARD),
        ("adapter_config.json", "adapter_model.safetensors", "anchors.safetensors", "base"),
    ),
}

PACKAGES = ("stiefel", "torch", "transformers", "peft", "trl", "safetensors")


def versions() -> dict[str, str]:
    """The versions that a manifest records; of what is not installed, as from a source tree, there is none."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none, in UTF-8."""
    write_bytes(path, text.encode())


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
NUMBERED = re.compile(r"\(os error (\d+)\)")  # how safetensors, which is written in Rust, says it


class NoRoom(UserError):
    """A full disk, a quota, a file system that cannot be written."""


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """A block that writes `path`: where there is no room, the error names the file that the user knows."""
    try:
        yield
    except NoRoom as error:  # of a part of it, under a name that will not stay
        raise NoRoom(f"{path} could not be written", error.why, error.instead) from error
    except (OSError, SafetensorError, RuntimeError) as error:
        number = error_number(error)
        if number not in NO_ROOM:
            raise
        raise NoRoom(
            f"{path} could not be written",
            os.strerror(number),
            "make room there, after which --resume goes on with what was begun, or give another --out",
        ) from error


def error_number(error: BaseException) -> int:
    """What the system said, whoever wrote: Python itself, safetensors, or torch.save to a file of Python's; else 0."""
    if isinstance(error, OSError):
        return error.errno or 0
    if isinstance(error, SafetensorError):
        found = NUMBERED.search(str(error))
        return int(found[1]) if found else 0
    cause = error.__context__  # torch's own error hides what its file raised
    return cause.errno or 0 if isinstance(cause, OSError) else 0


def append_text(path: Path, text: str, *, synced: bool = False) -> None:
    """Add a text to a file, whole or not at all; `synced` sees it to the disk, which takes some milliseconds."""
    before = path.stat().st_size if path.is_file() else None
    data = memoryview(text.encode())
    with room_for(path):
        try:
            with path.open("ab", buffering=0) as file:
                while data:  # a write may be a part of what it was given
                    data = data[file.write(data) :]
                if synced:
                    os.fsync(file.fileno())
        except OSError:
            if before is not None:
                os.truncate(path, before)
            else:
                path.unlink(missing_ok=True)
            raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or none: a temporary neighbour, flushed to disk, then renamed."""
    with (
        room_for(path),
        tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file,
    ):
        building = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            building.chmod(0o644)  # it starts private
            building.replace(path)
        except BaseException:
            building.unlink()
            raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON that a person can read and that holds no NaN."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a broken file is the user's to mend, so it is named."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON", str(error), "make it again, or restore it from a copy") from error


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Every row of a JSON-lines file, in order; a broken row is named by its line."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise UserError(f"{path} line {number} is not JSON", str(error), "mend or remove that line") from error
    return rows


def refuse_existing(out: Path, instead: str) -> None:
    """Raise if `out` already holds something."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"{out} already exists", "its contents would be lost", instead)


def check_room(out: Path, *, force: bool, kind: str) -> None:
    """Refuse an `out` that holds something, or with `force` anything but a directory of this kind that is ours.

    Nothing is removed yet: that is done when the new output is about to be written.
    """
    if not force:
        refuse_existing(out, "give another --out" + (", or --force to replace it" if kind in kinds_of(out) else ""))
    elif out.exists() and kind not in (kinds := kinds_of(out)):
        if kinds:
            raise UserError(
                f"{out} is of another kind: {' or '.join(kinds)}, not {kind}",
                "--force replaces what the same command wrote, and nothing that took another one's work",
                "give another --out, or remove it yourself",
            )
        raise UserError(
            f"{out} was not written by Stiefel alone",
            "--force replaces our own runs and adapters, and never a directory that may be a model of yours",
            "give another --out, or remove it yourself",
        )
    writable(out)


def require_directory(path: Path, instead: str) -> None:
    """Raise where a command is to read a directory and there is none of that name."""
    if not path.is_dir():
        raise UserError(
            f"no directory {path}", "it is a file" if path.is_file() else "nothing of that name is there", instead
        )


def require_begun(out: Path, first: str, kind: str) -> None:
    """Raise where a command was told to go on with what is not there: a mistyped directory would begin another one.

    `first` is the file that such a directory has from its first moment on.
    """
    if not (out / first).is_file():
        raise UserError(
            f"nothing to resume in {out}",
            f"it holds no {kind}" if out.exists() else "it does not exist",
            "leave --resume out to begin there, or give the --out that was begun",
        )


def is_ours(out: Path) -> bool:
    """True for an empty directory, and for one in which nothing but our own files is, unfinished ones included."""
    return bool(kinds_of(out))


def kinds_of(out: Path) -> list[str]:
    """What a directory of ours may be, unfinished ones included: every kind if it is empty, none if it is not ours."""
    if not out.is_dir():
        return []
    names = {path.name for path in out.iterdir()}
    found = [kind for kind, lists in CONTENTS.items() if not names or any(holds(known, names) for known in lists)]
    if MANIFEST in names and "evaluation" in found:  # a run's first files have the same names
        found = ["evaluation" if is_evaluation(read_json(out / MANIFEST)) else "run"]
    return found


def is_evaluation(manifest: Any) -> bool:
    """Whether a manifest is an evaluation's."""
    return isinstance(manifest, dict) and {"status", "task", "questions", "sampling"} <= manifest.keys()


def holds(known: Sequence[str], names: set[str]) -> bool:
    """Whether these are a list's first name and others of it, or what a kill left before the first was there."""
    begun = known[0] in names or not names & set(known)
    return begun and all(name in known or is_leftover(name, known) for name in names)


def is_leftover(name: str, known: Sequence[str]) -> bool:
    """True for what a process was killed over while it wrote or removed one of these."""
    return any(name.startswith(f".{one}.") for one in known)


def writable(out: Path) -> Path:
    """Make sure that `out` can be created, before any work is done; creates nothing."""
    existing = next(place for place in (out, *out.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(
            f"{out} cannot be written", error.strerror or str(error), "give --out a directory you may write to"
        ) from error
    return out


def discard(directory: Path) -> None:
    """Remove a directory in one stroke: a process killed meanwhile leaves no half of it under its name."""
    with room_for(directory):  # which even a rename may lack
        doomed = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
        directory.rename(doomed / directory.name)
    shutil.rmtree(doomed)


@contextmanager
def whole_directory(out: Path) -> Iterator[Path]:
    """A directory to fill that takes the place of `out` only when the block ends well."""
    writable(out)
    with room_for(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
        try:
            yield building
            building.chmod(0o755)
            if out.is_dir():
                shutil.rmtree(out)
            building.replace(out)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
