"""A setting as a word of Hydra's command line, and that word in a shell."""

from __future__ import annotations

import re
import shlex

from .overrides import Value

PLAIN = re.compile(r"[A-Za-z_/.@][A-Za-z0-9_./:@+-]*")
MEANT_OTHERWISE = {"null", "true", "false", "yes", "no", "on", "off", "nan", "inf"}
VARIABLE = re.compile(r"\$[A-Z_]+(/[A-Za-z0-9_./-]*)?")  # of the script, with what stands behind it


def override(key: str, value: Value) -> str:
    """`key=value`, as Hydra reads it."""
    return f"{key}={hydra_value(value)}"


def in_shell(key: str, value: Value) -> str:
    """The same as bash reads it; a variable of the script is left for it to fill in."""
    if isinstance(value, str) and VARIABLE.fullmatch(value):
        return f'{key}="{value}"'
    return f"{key}={shlex.quote(hydra_value(value))}"


def hydra_value(value: Value) -> str:
    """A value in Hydra's grammar, in which a text that is more than a name stands between quotes."""
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return repr(value)
        case str():
            plain = PLAIN.fullmatch(value) and value.lower() not in MEANT_OTHERWISE
            # a backslash counts twice before a quote only
            return (
                value if plain else "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" * bool(m[2])), value) + "'"
            )
        case _:
            return "[" + ",".join(hydra_value(one) for one in value) + "]"
