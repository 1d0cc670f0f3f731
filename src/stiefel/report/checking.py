"""The content of a file, typed; what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ..errors import UserError

T = TypeVar("T")


def checked(adapter: TypeAdapter[T], value: Any, path: Path) -> T:
    """The typed content of a file; what does not fit is the file's fault, and named."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise broken_run(path, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def broken_run(path: Path, why: str) -> UserError:
    """The error of a file that Stiefel did not write like that."""
    return UserError(f"{path} is not what a run writes", why, "restore the file, or train the run again")
