"""A setting is honoured or refused, never dropped."""

from __future__ import annotations

import pytest

from stiefel import UserError, attach
from stiefel.adapter import certificate_of, lora_layers


def targets_of(model):
    return {name for name, _ in lora_layers(model)}


@pytest.mark.parametrize(("rank", "alpha"), [(1, 1), (4, 4), (4, 8), (5, 7), (8, 4)])
def test_rank_alpha_and_dropout_are_honoured(method, rank, alpha, make_model):
    adapted = attach(make_model(), method.name, r=rank, alpha=alpha, dropout=0.25)
    width = 2 if method.anchored else 1
    for _, layer in lora_layers(adapted):
        assert layer.lora_A["default"].weight.shape[0] == width * rank
        assert layer.scaling["default"] == alpha / rank
        assert layer.lora_dropout["default"].p == 0.25


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["q_proj"], {f"model.layers.{i}.self_attn.q_proj" for i in (0, 1)}),
        (["layers.1.mlp.up_proj"], {"model.layers.1.mlp.up_proj"}),
        (r".*layers\.0\..*(q|v)_proj", {f"model.layers.0.self_attn.{x}_proj" for x in "qv"}),
        (["lm_head"], {"lm_head"}),
    ],
)
def test_targets_are_honoured(method, targets, expected, make_model):
    assert targets_of(attach(make_model(), method.name, r=4, target_modules=targets)) == expected


@pytest.mark.parametrize("tied", [False, True])
def test_all_linear_is_every_linear_layer_but_the_head(tied, make_model):
    adapted = attach(make_model(tie_word_embeddings=tied), "rlpo", r=4)
    names = {"self_attn": "qkvo", "mlp": ("gate", "up", "down")}
    assert targets_of(adapted) == {
        f"model.layers.{i}.{block}.{x}_proj" for i in (0, 1) for block, xs in names.items() for x in xs
    }


def test_every_option_value_is_taken_and_recorded(method, make_model):
    for name, option in method.options.items():
        for value in option.values:
            adapted = attach(make_model(), method.name, r=4, target_modules=["q_proj"], **{name: value})
            assert certificate_of(adapted).options[name] == value


REFUSED = {
    "rank 0": {"r": 0},
    "negative rank": {"r": -1},
    "rank above min(m, n)": {"r": 17},
    "fractional rank": {"r": 2.5},
    "alpha 0": {"alpha": 0},
    "dropout 1": {"dropout": 1.0},
    "negative dropout": {"dropout": -0.1},
    "unknown option": {"no_such_option": "x"},
    "unknown target": {"target_modules": ["no_such_layer"]},
    "one target of two unknown": {"target_modules": ["q_proj", "no_such_layer"]},
    "no targets": {"target_modules": []},
    "PEFT's own choice of targets": {"target_modules": None},
    "embedding": {"target_modules": ["embed_tokens"]},
    "embedding beside a linear layer": {"target_modules": ["embed_tokens", "q_proj"]},
    "norm": {"target_modules": ["q_proj", "input_layernorm"]},
    "activation": {"target_modules": ["q_proj", "act_fn"]},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_setting_that_cannot_be_honoured_is_refused(case, make_model):
    with pytest.raises(UserError):
        attach(make_model(), "rlpo", **{"r": 4, **REFUSED[case]})


def test_an_unknown_value_of_an_option_is_refused(method, make_model):
    for name in method.options:
        with pytest.raises(UserError):
            attach(make_model(), method.name, r=4, **{name: "no-such-value"})


def test_an_unknown_method_is_refused_with_the_nearest_name(make_model):
    with pytest.raises(UserError, match="pissa"):
        attach(make_model(), "pisa")


def test_a_second_adapter_is_refused(make_model):
    adapted = attach(make_model(), "rlpo", r=4)
    with pytest.raises(UserError):
        attach(adapted, "rlpo", r=4)
