"""docs/install.md names what pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_ranges_are_those_of_the_package() -> None:
    named = re.findall(r"`((?:trl|peft|transformers)>=[^`]+)`", PAGE)
    assert sorted(named) == sorted(
        line for line in PROJECT["dependencies"] if line.startswith(("trl", "peft", "transformers"))
    )


def test_every_extra_is_in_the_table() -> None:
    table = {name for line in re.findall(r"^\| (`.*?`) \|", PAGE, re.M) for name in re.findall(r"`([\w-]+)`", line)}
    assert table == PROJECT["optional-dependencies"].keys()
