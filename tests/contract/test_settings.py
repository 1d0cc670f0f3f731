"""A setting is honoured or refused, never dropped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stiefel import UserError, attach, prepare
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


NUMBERS = {
    "a text": ({"r": "8"}, "rank r = '8' is no whole number", "and a text was given", "give 8, without quotes"),
    "a word": ({"r": "eight"}, "rank r = 'eight' is no whole number", "and a text was given", "give a whole number"),
    "true": ({"r": True}, "rank r = True is no whole number", "and true was given", "give a whole number"),
    "a point": ({"r": 8.0}, "rank r = 8.0 is no whole number", "a number with a decimal point was given", "give 8"),
    "another library's": ({"r": np.int64(8)}, "is no whole number", "a value of type int64 was given", "give 8"),
    "out of range": ({"r": 0}, "rank r = 0 is out of range", "a whole number, at least 1", "at least 1"),
    "alpha as text": ({"alpha": "16"}, "alpha = '16' is no whole number", "and a text was given", "give 16"),
    "alpha as true": ({"alpha": True}, "alpha = True is no whole number", "and true was given", "a whole number"),
    "dropout as text": (
        {"dropout": "0.1"},
        "dropout = '0.1' is no number",
        "and a text was given",
        "give 0.1, without",
    ),
    "dropout as false": ({"dropout": False}, "dropout = False is no number", "and false was given", "a number"),
    "dropout that is none": ({"dropout": None}, "dropout = None is no number", "and nothing was given", "a number"),
    "seed as text": ({"seed": "3"}, "seed = '3' is no whole number", "and a text was given", "give 3"),
    "seed as true": ({"seed": True}, "seed = True is no whole number", "and true was given", "a whole number"),
    "a seed below 0": ({"seed": -1}, "seed = -1 is out of range", "at least 0", "at least 0"),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_is_wanted_and_what_was_given_is_said(case, make_model, tmp_path):
    settings, what, why, instead = NUMBERS[case]
    said = []
    with pytest.raises(UserError) as error:
        attach(make_model(), "rlpo", **settings)
    said.append(error.value)
    if "dropout" not in settings:  # which an adapter on disk has none of
        with pytest.raises(UserError) as error:
            prepare("nano", "rlpo", tmp_path / "out", **settings)
        said.append(error.value)
    for one in said:
        assert what in one.what
        assert why in one.why
        assert instead in one.instead
    assert not (tmp_path / "out").exists()


def test_an_option_that_is_no_number_is_told_from_one_out_of_range(make_model):
    for value, words in (("big", "'big' is no number"), (True, "True is no number"), (2, "2 is out of range")):
        with pytest.raises(UserError, match=rf"rho = {words}"):
            attach(make_model(), "geora", r=4, rho=value)


NEAREST = {
    "R": ("rlpo", "a setting of every adapter, which `attach` calls r;", "r=8 in stiefel.attach"),
    "LoRA_Alpha": ("rlpo", "which `attach` calls alpha;", "alpha=8 in stiefel.attach"),
    "Target-Modules": ("rlpo", "which `attach` calls target_modules;", "target_modules=8 in stiefel.attach"),
    "SEED": ("rlpo", "which `attach` calls seed;", "seed=8 in stiefel.attach; --seed 8 of stiefel init; run.seed"),
    "alhpa": ("rlpo", "dropped in silence", "did you mean alpha"),
    "dropuot": ("geora", "dropped in silence", "did you mean dropout"),
    "Sigma": ("pissa", "dropped in silence", "did you mean sigma?"),
    "sgma": ("pissa", "dropped in silence", "did you mean sigma?"),
    "use_cosine_schedule": ("rlpo", "dropped in silence", "rlpo takes no options: leave use_cosine_schedule out"),
}


@pytest.mark.parametrize("name", NEAREST)
def test_a_mistyped_setting_gets_the_nearest_whatever_its_case(name, make_model):
    method, why, instead = NEAREST[name]
    with pytest.raises(UserError) as error:
        attach(make_model(), method, **{name: 8})
    assert why in error.value.why
    assert instead in error.value.instead


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
