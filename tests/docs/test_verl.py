"""docs/verl.md quotes the script and the keys as they are."""

from __future__ import annotations

from scripts import verl


def test_the_page_is_not_stale() -> None:
    assert verl.PAGE.read_text() == verl.page(), "run `make docs`"
