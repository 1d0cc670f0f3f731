"""The formula of docs/scaling.md against what real training steps allocate, to the byte of every tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from transformers import GPT2Config, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config
from transformers import Qwen3ForCausalLM as Qwen3
from trl.trainer.utils import add_fused_lm_head

import stiefel
from benchmarks.allocations import tensor_peak
from stiefel.errors import UserError
from stiefel.foresight.memory_line import memory_line
from stiefel.foresight.memory_needed import Shapes, Step, cache, kept, needed, shapes_of
from stiefel.model.weights import load_model
from stiefel.recipe.recipe import make_recipe
from stiefel.training.optimizers import make_optimizer

BOUND = 0.03  # of the whole peak: a layer's own gradients, and casts that autocast keeps for a while
ROWS, LENGTH, RANK = 2, 64, 8
SIZES = {
    "vocab_size": 97,
    "hidden_size": 288,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 48,
    "max_position_embeddings": 64,
}
KINDS: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3),
}
METHODS = {"lora": RANK, "pissa": RANK, "full": 0}


def base(kind: str, dtype: torch.dtype, **sizes: int) -> Any:
    if kind == "nano":
        return load_model("nano").to(dtype)
    config, model = KINDS[kind]
    return model(config(**{**SIZES, **sizes}, tie_word_embeddings=kind == "llama", pad_token_id=0)).to(dtype)


def adapted(kind: str, method: str, dtype: torch.dtype, **sizes: int) -> tuple[Any, Shapes]:
    model = base(kind, dtype, **sizes)
    shapes = shapes_of(model.config)
    settings = {"r": METHODS[method], "alpha": METHODS[method]} if METHODS[method] else {}
    return stiefel.attach(model, method, cache=False, **settings).train(), shapes


def step_of(method: str, dtype: torch.dtype, *, checkpointed: bool = False) -> Step:
    size = dtype.itemsize
    return Step(METHODS[method], ROWS, LENGTH, method == "pissa", size, size, checkpointed)


def rows() -> dict[str, Tensor]:
    """Two rows, the first of them padded."""
    ids = torch.randint(1, 29, (ROWS, LENGTH))
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    return {"input_ids": ids, "attention_mask": mask}


def training(model: Any, dtype: torch.dtype) -> Callable[[], None]:
    """Two steps of two passes each, as TRL's trainer computes log-probabilities."""
    batch = rows()
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)

    def work() -> None:
        optimizer = make_optimizer(model, lr=1e-5)
        for _ in range(2):
            for _ in range(2):
                with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                    output = model(**batch, labels=labels, fused_lm_head=True)
                (-output.log_probs.mean()).backward()
                del output
            optimizer.step()
            optimizer.zero_grad()

    return work


@pytest.mark.parametrize("checkpointed", [False, True], ids=["kept", "checkpointed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("kind", "method"), [("qwen3", "lora"), ("qwen2", "pissa"), ("llama", "full"), ("nano", "pissa")]
)
def test_the_peak_of_real_steps_is_the_formulas(kind: str, method: str, dtype: torch.dtype, checkpointed: bool) -> None:
    model, shapes = adapted(kind, method, dtype)
    if checkpointed:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    add_fused_lm_head(model.get_base_model() if METHODS[method] else model, outputs=("log_probs", "entropy"))
    wanted = needed(shapes, step_of(method, dtype, checkpointed=checkpointed)).total
    assert tensor_peak(model, training(model, dtype)) == pytest.approx(wanted, rel=BOUND)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_what_autograd_keeps_of_a_layer_is_counted_one_by_one(kind: str, method: str, dtype: torch.dtype) -> None:
    """Of the layers alone: to 1%, which leaves room for rotary tables and numbers per row."""
    model, shapes = adapted(kind, method, dtype)
    living = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    found: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in living:
            found.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    backbone = (model.get_base_model() if METHODS[method] else model).model
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    with saved_tensors_hooks(note, lambda tensor: tensor), autocast:
        output = backbone(**rows()).last_hidden_state
    factors = {tuple(p.shape) for p in model.parameters()}
    ours = [t for t in found.values() if tuple(t.shape) not in factors | {shape[::-1] for shape in factors}]
    # the last norm's input, and for its weight's gradient its output; below a first adapter no gradient passes, so that
    # of the first norm nothing is kept
    beyond = 0 if METHODS[method] else (4 + dtype.itemsize) * output.numel()
    measured = sum(tensor.untyped_storage().nbytes() for tensor in ours) - beyond
    assert measured == pytest.approx(shapes.layers * kept(shapes, step_of(method, dtype)), rel=0.01)


@pytest.mark.parametrize("kind", [*KINDS, "nano"])
def test_numbers_of_weights_are_exact(kind: str) -> None:
    model = base(kind, torch.float32)
    shapes = shapes_of(model.config)
    assert shapes.parameters == sum(parameter.numel() for parameter in model.parameters())
    attached = stiefel.attach(model, "lora", r=RANK, alpha=RANK)
    assert shapes.adapter(RANK) == sum(p.numel() for p in attached.parameters() if p.requires_grad)


def test_keys_and_values_are_what_a_cache_holds() -> None:
    model = base("qwen3", torch.float32).eval()
    with torch.no_grad():
        held = model(torch.ones(ROWS, LENGTH, dtype=torch.long), use_cache=True).past_key_values
    tensors = [tensor for layer in held.layers for tensor in (layer.keys, layer.values)]
    assert sum(tensor.nbytes for tensor in tensors) == cache(shapes_of(model.config), ROWS, LENGTH, 4)


def test_a_divided_base_leaves_a_share_of_the_layers() -> None:
    shapes = shapes_of(base("qwen3", torch.float32).config)
    whole, divided = (needed(shapes, Step(RANK, ROWS, LENGTH, weight=4, processes=n)) for n in (1, 2))
    assert divided.weights == 4 * (shapes.parameters // 2 + 3 * shapes.layer + shapes.outside)
    assert (divided.trained, divided.activations) == (whole.trained, whole.activations)
    with pytest.raises(UserError, match="full weights"):
        needed(shapes, Step(0, ROWS, LENGTH, processes=2))


def test_a_preflight_says_it_of_the_methods_that_are_counted() -> None:
    recipes = {name: make_recipe({"adapter": {"method": name}}) for name in ("lora", "pissa", "full")}
    (line,) = memory_line({**recipes, "dora": make_recipe({"adapter": {"method": "dora"}})}, 20)
    shapes, settings = shapes_of(load_model("nano").config), make_recipe({})
    rollout = settings.rollout
    rows = rollout.prompts * rollout.completions // settings.optim.updates_per_rollout
    step = Step(settings.adapter.rank, rows, 20 + rollout.max_completion_tokens, weight=4, number=4)
    assert f"lora {needed(shapes, step).total / 1e9:.2g}, pissa " in line
    assert "full " in line
    assert "dora" not in line


def test_a_family_that_is_not_counted_is_refused() -> None:
    with pytest.raises(UserError, match="gpt2"):
        shapes_of(GPT2Config())
