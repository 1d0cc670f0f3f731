"""Verb of giving credit: cite."""

from __future__ import annotations

from importlib.metadata import version

import click

from . import completing
from .options import examples

# of CITATION.cff, which a wheel does not hold
TITLE = "Stiefel: geometry-aware adapters for reinforcement learning with verifiable rewards"
AUTHORS = "The Stiefel authors"
YEAR = 2026
LICENSE = "Apache-2.0"


@click.command(epilog=examples("stiefel cite", "stiefel cite rlpo", "stiefel cite pissa+dora"))
@click.argument("method", required=False, shell_complete=completing.methods)
def cite(method: str | None) -> None:
    """Print the BibTeX of a METHOD's paper.

    Without METHOD that of Stiefel, at the version that is installed.
    """
    if method is None:
        click.echo(own_bibtex())
        return
    from ..methods import compose

    click.echo(compose(method).bibtex())


def own_bibtex() -> str:
    """The entry of Stiefel itself."""
    return (
        "@software{stiefel,\n"
        f"  title = {{{TITLE}}},\n"
        f"  author = {{{{{AUTHORS}}}}},\n"
        f"  year = {{{YEAR}}},\n"
        f"  version = {{{version('stiefel')}}},\n"
        f"  license = {{{LICENSE}}},\n"
        "}"
    )
