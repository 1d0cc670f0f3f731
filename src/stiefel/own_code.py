"""`module:function` → what a user's own file holds under that name, and where in that file something went wrong."""

from __future__ import annotations

import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from .errors import UserError, nearest


def is_own(name: str) -> bool:
    """True for `module:function`, as for `package.module:function`."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))


def imported(name: str, what: str, fits: Callable[[Any], bool], instead: str) -> Any:
    """What `module:function` names; the working directory is searched for the module first.

    `what` is the role that it plays, for the errors; a name that is not there is answered by the nearest of those that
    the module has and that `fits` takes, or by `instead`, what to write there.
    Raises UserError, with the place in the user's file, where the module cannot be imported or has no such name.
    """
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:  # the command's own directory is searched by `python -m`, not by an installed script
        sys.path.insert(0, here)
    try:
        found = vars(import_module(module))
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # importing runs someone else's code
        raise UserError(
            f"the {what} {name} cannot be imported",
            f"{type(error).__name__}: {error}{place_in(module, error)}",
            f"run from the directory that holds {module.partition('.')[0]}.py, or mend the module",
        ) from error
    if attribute not in found:
        names = [key for key, value in found.items() if fits(value) and not key.startswith("_")]
        raise UserError(
            f"the {what} {name} does not exist",
            f"{module} has no function {attribute}",
            nearest(attribute, names) if names else instead,
        )
    return found[attribute]


def place_in(module: str, error: BaseException) -> str:
    """` (file.py, line 3)`: the innermost line that raised in the user's module or a file beside it; else nothing."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    home = vars(sys.modules[module]).get("__file__") if module in sys.modules else None
    beside = Path(home).parent if home else Path.cwd()
    lines = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if beside in Path(frame.filename).parents and not is_installed(Path(frame.filename))
    ]
    return f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""


def place_of(function: Any) -> str:
    """` (file.py, line 3)`: where a function of the user's begins; nothing of what has no lines of its own."""
    plain = inspect.unwrap(function) if callable(function) else function
    if not inspect.isroutine(plain) and callable(plain):  # an object with __call__
        plain = type(plain).__call__
    if not inspect.isfunction(plain) and not inspect.ismethod(plain):
        return ""
    code = plain.__code__
    return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})"


def is_installed(file: Path) -> bool:
    """True for a file of Stiefel, Python or an installed package, any of which may lie below the user's directory."""
    homes = Path(__file__).parent, Path(sysconfig.get_path("stdlib"))
    return any(home in file.parents for home in homes) or "site-packages" in file.parts
