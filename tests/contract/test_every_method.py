"""All methods and some of their compositions keep the same promises, in float32 and in bfloat16."""

from __future__ import annotations

import io

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from stiefel import load, save
from stiefel.adapter.attached import base_policy, certificate_of, trainable_parameters
from stiefel.adapter.trained_weights import own_weights
from stiefel.methods import compose, trainable_count
from stiefel.training.adalora import is_adalora, load_training_state, training_state

from .conftest import NAMES, RANK, STARTED, attach_any

DTYPES = [torch.float32, torch.bfloat16]
EVERY = [*((name, torch.float32) for name in NAMES), *((n, torch.bfloat16) for n in NAMES if n not in STARTED)]


def weights_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def state_of(model):
    """Whatever a method's function depends on."""
    return weights_of(model) | {f"buffer {name}": b.clone() for name, b in model.named_buffers()}


@pytest.mark.parametrize(("name", "dtype"), EVERY, ids=str)
def test_the_start_is_the_base_and_the_base_stays_within_reach(name, dtype, make_model, logits, fit):
    model = make_model(dtype)
    base = logits(model)
    adapted = attach_any(model, name)
    assert torch.equal(logits(adapted), base)
    fit(adapted)
    trained = logits(adapted)
    assert not torch.equal(trained, base), "the steps must have moved the policy"
    with base_policy(adapted):
        assert torch.equal(logits(adapted), base)
    assert torch.equal(logits(adapted), trained)


@pytest.mark.parametrize(("name", "dtype"), EVERY, ids=str)
def test_what_is_saved_comes_back_and_trains_on_to_the_same_bits(
    name, dtype, make_model, logits, fit, same_state, tmp_path
):
    adapted = attach_any(make_model(dtype), name, seed=3)
    optimizer = fit(adapted)
    save(adapted, tmp_path / "adapter")
    kept = io.BytesIO()
    torch.save(optimizer.state_dict(), kept)
    kept.seek(0)

    again = load(make_model(dtype), tmp_path / "adapter")
    assert torch.equal(logits(again), logits(adapted))
    assert certificate_of(again) == certificate_of(adapted)
    assert trainable_parameters(again) == trainable_parameters(adapted)
    with base_policy(again):
        assert torch.equal(logits(again), logits(make_model(dtype)))

    resumed = fit(again, 0)
    resumed.load_state_dict(torch.load(kept, weights_only=True))
    if is_adalora(adapted):
        load_training_state(again, training_state(adapted))
    fit(adapted, 3, optimizer, done=3)
    fit(again, 3, resumed, done=3)
    assert same_state(state_of(again), state_of(adapted))


def test_a_reload_that_does_not_train_has_nothing_to_train(changed, make_model, logits, fit, tmp_path):
    adapted = attach_any(make_model(), changed)
    fit(adapted, 1)
    save(adapted, tmp_path / "adapter")
    again = load(make_model(), tmp_path / "adapter", trainable=False)
    assert trainable_parameters(again) == 0
    assert torch.equal(logits(again), logits(adapted))


def test_saving_twice_gives_the_same_bytes(changed, make_model, fit, tmp_path):
    adapted = attach_any(make_model(), changed)
    fit(adapted, 2)
    save(adapted, tmp_path / "first")
    save(load(make_model(), tmp_path / "first"), tmp_path / "second")
    files = sorted(path.name for path in (tmp_path / "first").iterdir() if path.suffix in (".safetensors", ".json"))
    assert "stiefel.json" in files
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nothing_moves_but_what_trains(changed, dtype, make_model, fit):
    adapted = attach_any(make_model(dtype), changed)
    masks = {weight.name: weight.mask for weight in own_weights(adapted)}
    before, free = weights_of(adapted), {key for key, p in adapted.named_parameters() if p.requires_grad}
    buffers = {key: b.clone() for key, b in adapted.named_buffers()}
    fit(adapted)
    after = weights_of(adapted)
    for key, value in before.items():
        mask = masks.get(key)
        if key not in free:
            assert torch.equal(after[key], value), key
        elif mask is not None:
            assert torch.equal(after[key][~mask], value[~mask]), key
            assert not torch.equal(after[key][mask], value[mask]), key
    assert all(torch.equal(b, buffers[key]) for key, b in adapted.named_buffers())
    if compose(changed).is_peft:
        assert {p.dtype for p in adapted.parameters() if p.requires_grad} == {torch.float32}


def tiny_llama():
    config = LlamaConfig(
        vocab_size=29,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_bias=True,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("build", ["qwen3", "llama"])
def test_the_trainable_parameters_are_the_closed_form(changed, build, make_model):
    model = make_model() if build == "qwen3" else tiny_llama()
    adapted = attach_any(model, changed)
    shapes = {base.name: base.shape for base in certificate_of(adapted).bases}
    expected = trainable_count(compose(changed), shapes, RANK)
    if expected is None:
        sizes = [rows * columns for rows, columns in shapes.values()]
        smallest = sum(size // 5 for size in sizes)  # each of the two masks keeps a fifth
        assert smallest <= trainable_parameters(adapted) <= 2 * smallest + len(sizes)
    else:
        assert trainable_parameters(adapted) == expected


@pytest.mark.parametrize("mask", ["magnitude", "random"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_sparse_mask_of_a_given_density_is_exactly_as_large(mask, dtype, make_model):
    adapted = attach_any(make_model(dtype), "sparse", mask=mask, density=0.29)
    shapes = {base.name: base.shape for base in certificate_of(adapted).bases}
    options = {"mask": mask, "density": 0.29}
    assert trainable_parameters(adapted) == trainable_count(compose("sparse"), shapes, RANK, options)
    for weight in own_weights(adapted):
        kept, left = (weight.parameter.detach().abs()[m].float() for m in (weight.mask, ~weight.mask))
        assert (kept.max() <= left.min()) == (mask == "magnitude")


def test_seeds_matter_only_where_a_part_says_so(changed, make_model, same_state):
    first, again, other = (state_of(attach_any(make_model(), changed, seed=seed)) for seed in (7, 7, 8))
    assert same_state(first, again)
    assert same_state(first, other) != any(part.claims.seeded for part in compose(changed).parts)


def test_attaching_leaves_the_random_state_and_the_mode_alone(changed, make_model):
    model = make_model()
    before = torch.get_rng_state()
    adapted = attach_any(model, changed)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in adapted.modules() if module is not adapted)


def test_the_base_s_weights_are_kept_where_that_is_claimed(changed, make_model, fit, frozen_of):
    model = make_model()
    before = {id(p): p.detach().clone() for p in model.parameters()}
    parameters = list(model.parameters())
    adapted = attach_any(model, changed)
    fit(adapted)
    kept = all(torch.equal(p, before[id(p)]) for p in parameters)
    assert kept == all(part.claims.base_unchanged for part in compose(changed).parts)
