"""The packages that Stiefel needs, as its own metadata names them, and their versions."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ..verl import trouble, verl_version
from .finding import Finding

OURS = "stiefel"
TOLD = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "safetensors")  # of those that fit


def python() -> Finding:
    """The interpreter and Stiefel itself."""
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    try:
        wanted = SpecifierSet(metadata(OURS)["Requires-Python"])
    except PackageNotFoundError:
        return Finding(
            OURS, "absent", f"runs from its source, Python {found}", "make venv in the clone, or pip install its wheel"
        )
    if platform.python_version() not in wanted:
        return Finding("python", "broken", found, f"use a Python {wanted}", required=True)
    return Finding(OURS, "works", f"{version(OURS)}, Python {found}")


def required() -> Finding:
    """Whether what Stiefel cannot do without is there, in versions that it was tried with."""
    return fitting(own_requirements())


def own_requirements(extra: str = "") -> list[str]:
    """What pyproject.toml asks for, or one of its extras alone; nothing where Stiefel is no installed package."""
    try:
        lines = requires(OURS) or []
    except PackageNotFoundError:
        return []
    asked = [Requirement(line) for line in lines]
    return [str(one) for one in asked if (one.marker is None) == (not extra) and holds(one, extra)]


def holds(asked: Requirement, extra: str) -> bool:
    """Whether a requirement is of this machine, and of the extra."""
    return asked.marker is None or asked.marker.evaluate({"extra": extra})


def fitting(lines: Sequence[str]) -> Finding:
    """Whether these requirements are met."""
    unmet = {line: words for line in lines if (words := trouble_with(line))}
    wrong = list(unmet.values())
    told = [f"{name} {installed(name)}" for name in TOLD if installed(name)]
    if not wrong:
        return Finding("packages", "works", ", ".join(told))
    if not trouble(verl_version()):  # in whose environment the versions are verl's to say
        return Finding("packages", "works", f"verl's own environment: {', '.join(told)}; not ours: {'; '.join(wrong)}")
    return Finding(
        "packages",
        "broken",
        "; ".join(wrong),
        f"pip install {shlex.join(unmet)}, or in a clone pip install -r requirements.lock",
        required=True,
    )


def trouble_with(line: str) -> str:
    """What is wrong with the package that a requirement names, or nothing."""
    asked = Requirement(line)
    found = installed(asked.name)
    if not found:
        return f"{asked.name} is not installed, {asked.specifier or 'any version'} is needed"
    fits = asked.specifier.contains(found, prereleases=True)
    return "" if fits else f"{asked.name} {found} is installed, {asked.specifier} is needed"


def installed(name: str) -> str:
    """A package's version; nothing where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
