"""A setting is honoured or refused, never dropped."""

from __future__ import annotations

import pytest
import torch

from stiefel import UserError, attach
from stiefel.adapter.attached import certificate_of, lora_layers
from stiefel.methods import STARTS, Choice, Fraction
from stiefel.methods.table import as_records

ACCEPTED = {Fraction: (0.05, 0.5, 0.95)}  # of a `Choice`: all its values
WITH_FRACTION = [m.name for m in STARTS if any(isinstance(option, Fraction) for option in m.options.values())]


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
        for value in option.values if isinstance(option, Choice) else ACCEPTED[type(option)]:
            adapted = attach(make_model(), method.name, r=4, target_modules=["q_proj"], **{name: value})
            assert certificate_of(adapted).options[name] == value


def test_every_default_is_recorded(method, make_model):
    recorded = certificate_of(attach(make_model(), method.name, r=4, target_modules=["q_proj"])).options
    assert recorded == {name: option.default for name, option in method.options.items()}


@pytest.mark.parametrize("name", WITH_FRACTION)
def test_a_number_may_be_given_as_text(name, make_model):
    """As the command line gives it."""
    text, number, default = (
        attach(make_model(), name, r=4, target_modules=["q_proj"], **options)
        for options in ({"rho": "0.1"}, {"rho": 0.1}, {})
    )
    assert certificate_of(text).options == certificate_of(number).options
    assert certificate_of(text).options["rho"] == 0.1
    factors = [[layer.lora_A["default"].anchor for _, layer in lora_layers(model)] for model in (text, number, default)]
    assert all(torch.equal(*pair) for pair in zip(factors[0], factors[1], strict=True))
    assert not any(torch.equal(*pair) for pair in zip(factors[0], factors[2], strict=True))


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, -0.1, 1.5, float("nan"), float("inf"), True, None])
@pytest.mark.parametrize("as_text", [False, True], ids=["value", "text"])
def test_a_number_out_of_range_is_refused_with_the_range(value, as_text, make_model):
    with pytest.raises(UserError, match=r"rho = .*\n.*above 0 and below 1"):
        attach(make_model(), "geora", r=4, rho=str(value) if as_text else value)


def test_options_are_listed_with_values_or_range_and_default():
    options = {record["name"]: record["options"] for record in as_records()}
    assert options["lora"] == {}
    assert {key: options["pissa"]["sigma"][key] for key in ("values", "default")} == {
        "values": ["divided", "undivided"],
        "default": "divided",
    }
    assert options["geora"]["sigma"]["default"] == "undivided"
    rho = options["geora"]["rho"]
    assert (rho["above"], rho["below"], rho["default"]) == (0, 1, 0.2)
    assert all(option["meaning"] for given in options.values() for option in given.values())


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
