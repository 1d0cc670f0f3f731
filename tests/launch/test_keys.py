"""Every key of a recipe is honoured on verl, said in the script, or refused: one of these, and no other."""

from __future__ import annotations

import pytest

from stiefel.errors import UserError
from stiefel.recipe import Recipe
from stiefel.verl.able import HONOURED, REFUSED, SAID, composition_of, require_able
from tests.verl.recipes import launched

KEYS = {f"{section}.{key}" for section, table in Recipe().model_dump().items() for key in table}


def test_every_key_is_in_exactly_one_of_the_three_tables() -> None:
    tables = [set(HONOURED), set(SAID), set(REFUSED)]
    assert set.union(*tables) == KEYS
    assert sum(map(len, tables)) == len(KEYS)


# a value of each key that is not its default, in the recipe's own words
OTHERWISE = {
    "rollout.vllm_server": '"http://other:8000"',
    "algorithm.max_gen_batches": "3",
    "guard.action": '"stop"',
    "algorithm.reference": '"start"',
    "optim.kl_cap": "1e-3",
    "eval.validation": "20",
}
IMPOSSIBLE = {  # with verl's kind of recipe the recipe itself refuses them
    "algorithm.epochs": "2",
    "optim.kl_cap_rows": '"rows.jsonl"',
    "optim.kl_cap_total": "0.5",
    "algorithm.batch": "4",
    "eval.defer": "true",
    "guard.kl_base": "0.1",
    "guard.grad_norm": "1.0",
}


def test_the_refused_keys_are_those_tried_here() -> None:
    assert OTHERWISE.keys() | IMPOSSIBLE.keys() == set(REFUSED)


@pytest.mark.parametrize("key", OTHERWISE)
def test_a_refused_key_is_named_with_the_reason_and_what_to_do(key: str) -> None:
    dynamic = ["algorithm.dynamic_sampling=true"] if key == "algorithm.max_gen_batches" else []
    recipe = launched("rlpo", *dynamic, f"{key}={OTHERWISE[key]}")
    with pytest.raises(UserError, match=key) as refused:
        require_able(recipe, composition_of(recipe))
    assert (refused.value.why, refused.value.instead) == REFUSED[key]


def test_the_advice_without_a_cap_is_taken() -> None:
    """A cap's rows without it are refused, so the advice names them too."""
    capped = ["optim.kl_cap=1e-3", 'optim.kl_cap_rows="rows.jsonl"']
    recipe = launched("rlpo", *capped)
    with pytest.raises(UserError, match="kl_cap") as refused:
        require_able(recipe, composition_of(recipe))
    assert "optim.kl_cap=0 (and no optim.kl_cap_rows)" in refused.value.instead
    recipe = launched("rlpo", *capped[:1], "optim.kl_cap=0")
    require_able(recipe, composition_of(recipe))


@pytest.mark.parametrize("key", IMPOSSIBLE)
def test_a_key_that_rollouts_have_no_use_for_is_refused_before(key: str) -> None:
    with pytest.raises(UserError, match=key.partition(".")[0]):
        launched("rlpo", f"{key}={IMPOSSIBLE[key]}")
