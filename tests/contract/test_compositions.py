"""Names compose where that means something, and are refused with the reason where it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from torch import nn

from stiefel import UserError, attach
from stiefel.adapter.attached import certificate_of, lora_layers
from stiefel.methods import METHODS, STARTS, compose, unused_settings
from stiefel.methods.table import as_records


def test_there_are_27_records_of_one_type_with_names_and_papers_of_their_own():
    assert len(METHODS) == len({method.name for method in METHODS}) == 27
    assert len(STARTS) == 16
    assert {method.kind for method in METHODS} == {"start", "structure", "optimizer", "peft", "weights"}
    assert [record["name"] for record in as_records()] == [method.name for method in METHODS]


CANONICAL = {
    "rlpo": "rlpo",
    "dora+rlpo": "rlpo+dora",
    "lora+dora": "dora",
    "lora_plus+rslora+rlmo": "rlmo+rslora+lora_plus",
    "rslora+dora": "dora+rslora",
    "lora_fa": "lora_fa",
    "ia3": "ia3",
}


@pytest.mark.parametrize("name", CANONICAL)
def test_a_name_is_its_parts_in_one_order(name):
    assert compose(name).name == CANONICAL[name]
    assert compose(compose(name).name) == compose(name)


REFUSED = {
    "pissa+ia3": "ia3 has no factors A and B",
    "full+lora_plus": "full has no factors A and B",
    "adalora+dora": "adalora has no factors A and B",
    "rlpo+pissa": "two starts",
    "lora_plus+lora_fa": "two optimizers",
    "dora+dora": "dora is there twice",
    "ia3+ia3": "ia3",
    "pissa+lora_fa": "B₀ drops out",
    "rlpo+dorra": "unknown method 'dorra'",
    "": "unknown method",
    "rlpo+": "unknown method",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_combination_without_meaning_is_refused_with_the_reason(name):
    with pytest.raises(UserError, match=REFUSED[name]):
        compose(name)


UNUSED = {
    "rlpo+dora+lora_plus": set(),
    "adalora": set(),
    "miss": {"alpha"},
    "vera": {"alpha"},
    "ia3": {"rank", "alpha", "dropout"},
    "ln_tuning": {"rank", "alpha", "dropout", "targets"},
    "full": {"rank", "alpha", "dropout", "targets"},
    "sparse": {"alpha", "dropout"},
}
GIVEN = {
    "rank": {"r": 4},
    "alpha": {"alpha": 8},
    "dropout": {"dropout": 0.1},
    "targets": {"target_modules": ["q_proj"]},
}


@pytest.mark.parametrize("name", UNUSED)
def test_a_setting_without_a_use_is_refused_and_every_other_is_taken(name, make_model):
    assert unused_settings(compose(name)) == UNUSED[name]
    for setting, keywords in GIVEN.items():
        if setting in UNUSED[name]:
            with pytest.raises(UserError, match=f"no use for the setting {setting}"):
                attach(make_model(), name, **keywords)
        else:
            attach(make_model(), name, **({} if setting == "rank" or "rank" in UNUSED[name] else {"r": 4}), **keywords)


def test_the_rank_is_of_no_use_to_a_sparse_mask_that_geora_does_not_make(make_model):
    assert "rank" in unused_settings(compose("sparse"), {"mask": "random"})
    with pytest.raises(UserError, match="rank"):
        attach(make_model(), "sparse", r=4, mask="random")


DROPPED = ["lora", "dora", "miss", "vera", "adalora"]


@pytest.mark.parametrize("name", DROPPED)
def test_dropout_is_honoured(name, make_model):
    adapted = attach(make_model(), name, r=4, dropout=0.25)
    assert {module.p for module in adapted.modules() if isinstance(module, nn.Dropout)} == {0.25}


@pytest.mark.parametrize("rank", [1, 3, 4, 8])
@pytest.mark.parametrize("name", ["rslora", "pissa+rslora", "geora+rslora+dora"])
def test_rslora_divides_by_the_root_of_the_rank_of_the_start(name, rank, make_model):
    adapted = attach(make_model(), name, r=rank, alpha=6)
    for _, layer in lora_layers(adapted):
        # of an anchored adapter PEFT computes √2·alpha/√(2r), each operation rounded in float64
        assert math.isclose(layer.scaling["default"], 6 / math.sqrt(rank), rel_tol=4 * np.finfo(float).eps)
        assert layer.scaling["default"] == certificate_of(adapted).scaling


BAD_OPTIONS = {
    "ratio 0": ("lora_plus", {"ratio": 0}),
    "ratio infinite": ("rlpo+lora_plus", {"ratio": "inf"}),
    "ratio of a method without": ("rlpo", {"ratio": 2}),
    "init_r at the rank": ("adalora", {"init_r": 4}),
    "init_r above the smallest matrix": ("adalora", {"init_r": 17}),
    "init_r not whole": ("adalora", {"init_r": 6.5}),
    "deltaT 0": ("adalora", {"deltaT": 0}),
    "tinit 1": ("adalora", {"tinit": 1}),
    "feedforward unknown": ("ia3", {"feedforward": "no_such_layer"}),
    "feedforward empty": ("ia3", {"feedforward": ""}),
    "mask unknown": ("sparse", {"mask": "best"}),
    "density 0": ("sparse", {"mask": "random", "density": 0}),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_an_option_that_cannot_be_honoured_is_refused(case, make_model):
    name, options = BAD_OPTIONS[case]
    with pytest.raises(UserError):
        attach(make_model(), name, **({} if name == "ia3" or "density" in options else {"r": 4}), **options)


@pytest.mark.parametrize("name", ["full", "sparse", "ia3"])
def test_a_second_method_on_one_model_is_refused(name, make_model):
    adapted = attach(make_model(), name)
    with pytest.raises(UserError, match="already carries"):
        attach(adapted, "full")


def test_dora_refuses_a_row_without_a_direction_by_name(make_model):
    model = make_model()
    model.model.layers[1].mlp.up_proj.weight.data[5] = 0
    with pytest.raises(UserError, match=r"layers\.1\.mlp\.up_proj has 1 rows of zeros, the first is row 5"):
        attach(model, "rlpo+dora", r=4)
    attach(model, "rlpo", r=4)
