"""docs/recipe.md says of every key what the settings themselves say."""

from __future__ import annotations

from scripts.recipe import PAGE, page
from stiefel.recipe import Recipe


def test_the_generated_blocks_are_fresh() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_key_stands_in_it() -> None:
    for section, table in Recipe.model_fields.items():
        _, _, below = PAGE.read_text().partition(f"### [{section}]\n")
        rows = below.partition("###")[0]
        assert [key for key in table.annotation.model_fields if f"| `{key}` |" not in rows] == []
