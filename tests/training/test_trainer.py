"""A plain TRL script becomes ours by one import and one call: what TRL's constructor takes is taken, or refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file
from torch.optim import SGD
from transformers import Llama4ForCausalLM, Llama4TextConfig
from trl import GRPOConfig

import stiefel
from benchmarks.families import make
from stiefel import GRPOTrainer, UserError, attach
from stiefel.adapter import export, find_adapter, verify
from stiefel.nano.tokenizer import build_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train
from stiefel.training import sync
from stiefel.training.checkpoints import checkpoints_in
from stiefel.training.settings import grpo_config

ROWS = Dataset.from_list([{"prompt": prompt} for prompt in ("1+2?", "34-5?", "rabc?", "12+3?") * 4])
RECIPE = {
    "optim": {"rollouts": 3, "updates_per_rollout": 1, "lr": 0.01},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
}


def distinct_tokens(completions: list[str], **columns: Any) -> list[float]:
    return [len(set(completion)) / 8 for completion in completions]


def config(out: Path, **changes: Any) -> GRPOConfig:
    args = grpo_config(make_recipe(RECIPE), out)
    args.save_strategy, args.save_steps = "steps", 1
    for key, value in changes.items():
        assert key in vars(args)
        setattr(args, key, value)
    return args


def test_places_of_the_arguments_are_trls(make_model: Any, tmp_path: Path) -> None:
    trainer = GRPOTrainer(
        attach(make_model(), "lora"), distinct_tokens, config(tmp_path), ROWS, ROWS, build_tokenizer()
    )
    assert (trainer.train_dataset, trainer.eval_dataset) == (ROWS, ROWS)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")  # TRL's own default
def test_without_settings_trls_are_taken(make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sync, "GRPOConfig", partial(GRPOConfig, use_cpu=True))  # whose bfloat16 wants a GPU otherwise
    model = make_model()
    model.config._name_or_path = "someone/small"
    trainer = GRPOTrainer(
        model=attach(model, "lora"),
        reward_funcs=distinct_tokens,
        train_dataset=ROWS,
        processing_class=build_tokenizer(),
    )
    assert trainer.args.output_dir == "small-GRPO"
    assert trainer.args.learning_rate == GRPOConfig("unused", use_cpu=True).learning_rate


def test_prompts_may_be_a_stream(make_model: Any, tmp_path: Path) -> None:
    trainer = GRPOTrainer(
        attach(make_model(), "lora", r=4),
        distinct_tokens,
        config(tmp_path, save_strategy="no"),
        ROWS.to_iterable_dataset(),
        processing_class=build_tokenizer(),
    )
    trainer.train()
    assert trainer.state.global_step == 3
    assert trainer.sampled_completions == 3 * 8


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a name in place of a model": (
        {"model": "nobody/nothing"},
        r"given a name, 'nobody/nothing'[\s\S]*stiefel\.attach",
    ),
    "a stream to sample dynamically from": (
        {"train_dataset": ROWS.to_iterable_dataset(), "max_gen_batches": 2},
        "stream of prompts",
    ),
    "a reference that moves": ({"args": {"sync_ref_model": True, "beta": 0.1}}, "the reference is the base"),
    "an optimizer that would lose LoRA-FA's": (
        {"model": "lora_fa", "optimizers": "sgd"},
        r"an optimizer of yours for lora_fa[\s\S]*leave optimizers out",
    ),
    "an optimizer that would lose the decay of factors": (
        {"model": "pissa", "optimizers": "sgd", "weight_decay_on": "factors"},
        "an optimizer of yours for pissa",
    ),
}


def made(make_model: Any, out: Path, model: str = "lora", args: Any = None, optimizers: str = "", **given: Any) -> Any:
    known: Any = attach(make_model(), model, r=4) if "/" not in model else model
    if optimizers:
        given["optimizers"] = (SGD([p for p in known.parameters() if p.requires_grad], lr=0.01), None)
    given = {"train_dataset": ROWS, **given}
    return GRPOTrainer(known, distinct_tokens, config(out, **(args or {})), processing_class=build_tokenizer(), **given)


@pytest.mark.parametrize("mistake", REFUSED)
def test_what_would_be_lost_is_refused(mistake: str, make_model: Any, tmp_path: Path) -> None:
    given, message = REFUSED[mistake]
    with pytest.raises(UserError, match=message):
        made(make_model, tmp_path, **given)


def test_a_class_that_does_not_name_its_hidden_states_is_refused(tmp_path: Path) -> None:
    """TRL would end in an AttributeError at the first update."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "intermediate_size_mlp": 16, "num_attention_heads": 2}
    config_ = Llama4TextConfig(**sizes, vocab_size=32, num_hidden_layers=1, num_local_experts=2, head_dim=8)
    model = attach(Llama4ForCausalLM(config_), "lora", r=2, target_modules=["q_proj"])
    with pytest.raises(UserError, match="Llama4ForCausalLM cannot be trained"):
        GRPOTrainer(model, distinct_tokens, config(tmp_path), processing_class=build_tokenizer(), train_dataset=ROWS)


@pytest.mark.parametrize("algorithm", [{"name": "dapo"}, {"name": "sft", "batch": 2, "epochs": 1}], ids=str)
def test_a_run_of_such_a_class_is_refused_before_anything_is_sampled(algorithm: Any, tmp_path: Path) -> None:
    model = make("llama4_text", tmp_path / "model").directory
    tables = {
        "model": {"path": str(model)},
        "adapter": {"method": "lora", "rank": 2, "targets": ["q_proj"]},
        "algorithm": algorithm,
        "eval": {"tasks": ["nano-arithmetic"]},
    }
    with pytest.raises(UserError, match="Llama4ForCausalLM cannot be trained"):
        train(make_recipe(tables), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_optimizer_of_ones_own_is_used_where_nothing_is_lost(make_model: Any, tmp_path: Path) -> None:
    trainer = made(make_model, tmp_path, "rlpo", optimizers="sgd")
    trainer.train()
    assert isinstance(trainer.optimizer.optimizer, SGD)


@pytest.mark.parametrize("name", ["rlpo", "pissa", "adalora", "sparse"])
def test_a_checkpoint_holds_the_adapter_of_its_update(name: str, make_model: Any, logits: Any, tmp_path: Path) -> None:
    """Collapse comes late: what the policy was before it can be loaded, evaluated and served."""
    model = attach(make_model(), name, r=4, **({} if name == "sparse" else {"alpha": 8}))
    trainer = GRPOTrainer(model, distinct_tokens, config(tmp_path), ROWS, processing_class=build_tokenizer())
    trainer.train()
    places = checkpoints_in(tmp_path)
    assert find_adapter(places[0]) == places[0] / "adapter"  # so `stiefel eval` takes the checkpoint itself
    assert torch.equal(logits(stiefel.load(make_model(), places[-1] / "adapter")), logits(model))
    earlier = logits(stiefel.load(make_model(), places[0] / "adapter"))
    assert not torch.equal(earlier, logits(model))
    if name != "sparse":
        plain = PeftModel.from_pretrained(make_model(), str(places[0] / "adapter"))
        assert torch.equal(logits(plain), earlier)
        assert load_file(places[0] / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize(("limit", "kept"), [(None, [1, 2, 3]), (2, [2, 3]), (1, [3])])
def test_as_many_checkpoints_are_kept_as_the_settings_say(
    limit: int | None, kept: list[int], make_model: Any, tmp_path: Path
) -> None:
    """TRL's default keeps all: a script's earlier ones do not vanish."""
    made(make_model, tmp_path, args={"save_total_limit": limit}).train()
    assert [int(path.name.partition("-")[2]) for path in checkpoints_in(tmp_path)] == kept
    assert len(list(tmp_path.iterdir())) == len(kept)


def test_the_newest_checkpoint_is_found_by_its_directory(make_model: Any, tmp_path: Path) -> None:
    made(make_model, tmp_path).train()
    again = made(make_model, tmp_path, args={"max_steps": 4})
    again.train(resume_from_checkpoint=True)
    assert [row["step"] for row in again.state.log_history if "grad_norm" in row] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["rlpo", "pissa", "pissa+dora", "vera", "adalora"])
def test_what_a_script_saves_is_a_certified_adapter(
    name: str, make_model: Any, logits: Any, tmp_path: Path, capsys: Any
) -> None:
    """`trainer.save_model` is the last line of every script of TRL's: what it writes is loaded, verified, exported."""
    base = tmp_path / "base"
    make_model().save_pretrained(base)
    model = attach(make_model(), name, r=4, **({} if name == "vera" else {"alpha": 8}))
    trainer = GRPOTrainer(model, distinct_tokens, config(tmp_path / "out"), ROWS, processing_class=build_tokenizer())
    trainer.train()
    trainer.save_model(tmp_path / "saved")
    assert torch.equal(logits(stiefel.load(make_model(), tmp_path / "saved")), logits(model))
    assert [check for check in verify(tmp_path / "saved", str(base)) if not check.holds] == []
    export(tmp_path / "saved", str(base), "merged", tmp_path / "merged")
    if name == "pissa":
        assert stiefel.inspect(tmp_path / "saved", base=str(base)).rank == 4  # not the 8 of its files
