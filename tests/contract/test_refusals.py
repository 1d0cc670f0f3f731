"""When `attach` raises, the model is what it was: its modules, its flags, its weights."""

from __future__ import annotations

import pytest
import torch

from stiefel import UserError, attach

BROKEN = "model.layers.1.mlp.down_proj"  # late in the model, so that other layers are adapted before it


def snapshot(model):
    return {
        "modules": {name: (type(module), module.training) for name, module in model.named_modules()},
        "flags": {name: p.requires_grad for name, p in model.named_parameters()},
        "attributes": set(vars(model)),
    }


def nothing(model):
    pass


def not_finite(model):
    model.get_submodule(BROKEN).weight.data[3, 5] = float("nan")


def infinite(model):
    model.get_submodule(BROKEN).weight.data[3, 5] = float("inf")


def zero(model):
    model.get_submodule(BROKEN).weight.data.zero_()


def frozen_in_part(model):
    model.get_submodule(BROKEN).weight.requires_grad_(False)


EVERY_METHOD = {  # what is done to the model, the settings, a word that the message must hold
    "unknown target": (nothing, {"target_modules": ["no_such_layer"]}, "no_such_layer"),
    "an activation beside a linear layer": (nothing, {"target_modules": ["q_proj", "act_fn"]}, "act_fn"),
    "rank above min(m, n)": (nothing, {"r": 17}, "k_proj"),
    "the same, of a partly frozen model": (frozen_in_part, {"r": 17}, "k_proj"),
    "embedding": (nothing, {"target_modules": ["embed_tokens"]}, "embed_tokens"),
    "not finite": (not_finite, {}, BROKEN),
    "infinite": (infinite, {}, BROKEN),
}
NEEDS_DIRECTIONS = {"zero matrix": (zero, {}, BROKEN)}


def refuse(model, method, settings, word):
    before, weights = snapshot(model), {name: p.detach().clone() for name, p in model.named_parameters()}
    with pytest.raises(UserError) as error:
        attach(model, method.name, **{"r": 4, **settings})
    assert word in str(error.value)
    assert snapshot(model) == before
    for name, p in model.named_parameters():
        assert torch.equal(p.nan_to_num(), weights[name].nan_to_num())


@pytest.mark.parametrize("case", EVERY_METHOD)
def test_refused_by_every_method(case, method, make_model):
    prepare, settings, word = EVERY_METHOD[case]
    model = make_model()
    prepare(model)
    refuse(model, method, settings, word)


@pytest.mark.parametrize("case", NEEDS_DIRECTIONS)
def test_refused_by_methods_that_read_the_spectrum(case, method, make_model):
    prepare, settings, word = NEEDS_DIRECTIONS[case]
    model = make_model()
    prepare(model)
    if method.needs is None:
        attach(model, method.name, r=4, **settings)
    else:
        refuse(model, method, settings, word)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_a_tied_head_is_refused(method, make_model):
    refuse(make_model(tie_word_embeddings=True), method, {"target_modules": ["lm_head", "q_proj"]}, "lm_head")


def test_the_model_can_be_used_after_a_refusal(method, make_model, logits, same_state, factors_of):
    model = make_model()
    base = logits(model)
    with pytest.raises(UserError):
        attach(model, method.name, r=17)
    assert torch.equal(logits(model), base)
    after = factors_of(attach(model, method.name, r=4))
    fresh = factors_of(attach(make_model(), method.name, r=4))
    assert all(torch.equal(after[name][0], fresh[name][0]) for name in fresh)


def test_an_interruption_leaves_the_model_as_it_was(method, make_model):
    model = make_model()
    before = snapshot(model)

    def interrupt(name, number, count):
        if number == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attach(model, method.name, r=4, progress=interrupt)
    assert snapshot(model) == before
