"""A chat whose turns end with another token than its documents: learned, sampled, measured and exported alike."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset
from trl import GRPOConfig

from stiefel import GRPOTrainer, attach
from stiefel.adapter.exported import export
from stiefel.adapter.saved import save
from stiefel.artifacts import read_json, read_jsonl
from stiefel.errors import UserError
from stiefel.evaluation import evaluate
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.rewards import exact
from stiefel.run.loading import load_pair
from stiefel.run.run import train
from stiefel.tasks import Row, Sampling, training_task
from stiefel.training.arguments import trainer_arguments
from stiefel.training.ending import also, closed, stop_at_turn_ends
from stiefel.training.rewards import GradedReward
from stiefel.training.rows import sft_rows, training_rows
from stiefel.training.sft import SFTTrainer
from tests.chats import QWEN, chat_model, chat_tokenizer

SUMS = [(f"{a}+{b}?", str(a + b)) for a, b in ((0, 2), (1, 2), (2, 2), (3, 1), (4, 4), (5, 1))]
QUESTIONS = [Row([{"role": "user", "content": prompt}], answer) for prompt, answer in SUMS]
UNMARKED = "{% for message in messages %}{{ message.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}"
TWO_ENDS = QWEN.removesuffix("{%- endif %}") + "{%- else %}{{- eos_token }}{%- endif %}"


def rows_file(directory: Path) -> str:
    path = directory / "sums.jsonl"
    path.write_text("".join(json.dumps({"prompt": p, "answer": a}) + "\n" for p, a in SUMS))
    return str(path)


def tables(model: str, data: str, **model_settings: Any) -> dict[str, Any]:
    return {
        "model": {"path": model, **model_settings},
        "task": {"name": "sums", "data": data, "chat": True, "reward": "exact"},
        "rollout": {"max_prompt_tokens": 64, "max_completion_tokens": 8, "prompts": 2, "completions": 4},
        "run": {"threads": 1, "save_every": 0},
    }


def supervised(model: str, data: str, **optim: Any) -> dict[str, Any]:
    found = tables(model, data)
    found["task"].pop("reward")
    rollout = {key: found["rollout"][key] for key in ("max_prompt_tokens", "max_completion_tokens")}
    algorithm = {"name": "sft", "epochs": optim.pop("epochs", 1), "batch": 6}
    return {**found, "rollout": rollout, "algorithm": algorithm, "optim": {"lr": 3e-3, **optim}}


@pytest.mark.parametrize("eos", ["<|endoftext|>", "<|im_end|>"])
def test_after_supervised_training_every_answer_ends(eos: str, tmp_path: Path) -> None:
    """Where the tokenizer's end is the turn's, and where it is another token, as of every base model of Qwen's."""
    path = chat_model(tmp_path / "model", chat_tokenizer(eos=eos))
    learn = {**supervised(path, rows_file(tmp_path), epochs=150), "adapter": {"method": "full"}}
    train(make_recipe(learn), tmp_path / "run")
    export(tmp_path / "run" / "adapter", path, "merged", tmp_path / "merged")
    merged, tokenizer = load_model(str(tmp_path / "merged")), load_tokenizer(str(tmp_path / "merged"))
    task = training_task(make_recipe(tables(path, rows_file(tmp_path))).task)
    found = evaluate(merged, tokenizer, task, QUESTIONS, Sampling(temperature=0.0, max_tokens=8))
    assert [sample.completion for sample in found] == [answer for _, answer in SUMS]
    assert [sample.truncated for sample in found] == [False] * 6
    assert {sample.tokens for sample in found} == {2}
    ends = sorted({tokenizer.convert_tokens_to_ids("<|im_end|>"), tokenizer.eos_token_id})
    generation = read_json(tmp_path / "merged" / "generation_config.json")
    assert generation["eos_token_id"] == (ends if len(ends) > 1 else ends[0])
    # what transformers' own generate, told nothing, makes of the exported model
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": SUMS[0][0]}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = merged.generate(**prompt, max_new_tokens=8, do_sample=False)
    assert tokenizer.decode(written[0, prompt["input_ids"].shape[1] :]) == f"{SUMS[0][1]}<|im_end|>"


@pytest.mark.parametrize(
    ("template", "end"), [(QWEN, "<|im_end|>"), (TWO_ENDS, "<|im_end|>"), (UNMARKED, "<|endoftext|>")]
)
def test_a_supervised_row_ends_with_the_end_of_its_turn(template: str, end: str, tmp_path: Path) -> None:
    path = chat_model(tmp_path / "model", chat_tokenizer(template))
    recipe = make_recipe(supervised(path, rows_file(tmp_path)))
    model, tokenizer = load_pair(recipe)
    rows = sft_rows(recipe, training_task(recipe.task, graded=False), tokenizer)
    trainer = SFTTrainer(recipe, tmp_path, attach(model, "lora", r=2, alpha=4), tokenizer, rows, lambda row: None)
    learned = [[label for label in row["labels"] if label != -100] for row in trainer.train_dataset]
    assert {len(row["input_ids"]) - len(row["labels"]) for row in trainer.train_dataset} == {0}
    assert sorted(tokenizer.decode(row) for row in learned) == sorted(answer + end for _, answer in SUMS)


def test_the_last_end_of_a_row_counts_and_one_of_the_prompt_does_not() -> None:
    assert closed({"input_ids": [5, 9, 4, 9, 7, 9, 8], "labels": [-100, -100, 4, 9, 7, 9, 8]}, closing=9) == {
        "input_ids": [5, 9, 4, 9, 7, 9],
        "labels": [-100, -100, 4, 9, 7, 9],
    }
    assert closed({"input_ids": [5, 9, 4], "labels": [-100, -100, 4]}, closing=9)["labels"] == [-100, -100, 4, 9]


def test_a_plain_text_row_is_trls_own(tmp_path: Path) -> None:
    path = chat_model(tmp_path / "model", chat_tokenizer())
    settings = supervised(path, rows_file(tmp_path))
    settings["task"]["chat"] = False
    recipe = make_recipe(settings)
    model, tokenizer = load_pair(recipe)
    rows = sft_rows(recipe, training_task(recipe.task, graded=False), tokenizer)
    trainer = SFTTrainer(recipe, tmp_path, attach(model, "lora", r=2, alpha=4), tokenizer, rows, lambda row: None)
    texts = {tokenizer.decode(row["input_ids"]) for row in trainer.train_dataset}
    assert texts == {f"{prompt}{answer}<|endoftext|>" for prompt, answer in SUMS}


def test_rollouts_end_where_the_template_the_tokenizer_the_model_or_the_recipe_says(tmp_path: Path) -> None:
    written = chat_tokenizer()
    user, eot = written.convert_tokens_to_ids(["<|user|>", "<|eot|>"])
    path = chat_model(tmp_path / "model", written, ends=[user])
    recipe = make_recipe(tables(path, rows_file(tmp_path), turn_ends=["<|eot|>", "\n"]))
    model, tokenizer = load_pair(recipe)
    task = training_task(recipe.task)
    rows = training_rows(recipe, task, tokenizer)
    arguments = trainer_arguments(recipe, task, rows, tokenizer, tmp_path)
    trainer = GRPOTrainer(attach(model, "lora", r=2, alpha=4), **arguments)
    ends = sorted([user, eot, *tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>", "\n"])])
    assert trainer.eos_token_ids == trainer.generation_config.eos_token_id == ends
    assert trainer.generation_kwargs["eos_token_id"] == ends
    prompt_ids, *_ = trainer._tokenize_prompts([rows[0]["prompt"]] * 30)
    completions, _ = trainer._generate_single_turn(prompt_ids, None, {}, 30)
    assert any(len(completion) < 8 for completion in completions)
    for completion in completions:
        assert not set(completion[:-1]) & set(ends)
        assert len(completion) == 8 or completion[-1] in ends
    assert arguments["reward_funcs"][0]._endings == ("\n",)


def test_a_script_of_ones_own_needs_no_recipe_for_it(tmp_path: Path) -> None:
    path = chat_model(tmp_path / "model", chat_tokenizer())
    config = GRPOConfig(
        str(tmp_path),
        report_to=[],
        use_cpu=True,
        bf16=False,
        num_generations=2,
        per_device_train_batch_size=2,
        activation_checkpointing=False,
    )
    data = Dataset.from_list([{"prompt": [{"role": "user", "content": "1+1?"}]}])
    model = attach(load_model(path), "lora", r=2, alpha=4)
    trainer = GRPOTrainer(
        model, lambda completions, **others: [0.0] * len(completions), config, data
    )  # TRL finds the tokenizer
    tokenizer = load_tokenizer(path)
    assert trainer.eos_token_ids == sorted(tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]))


def test_vllm_is_asked_to_stop_at_all_of_them(tmp_path: Path) -> None:
    tokenizer = chat_tokenizer()
    trainer: Any = SimpleNamespace(
        use_vllm=True,
        _tokenizer=tokenizer,
        eos_token_ids=[tokenizer.eos_token_id],
        vllm_generation=SimpleNamespace(generation_kwargs={"stop_token_ids": [3], "seed": 5}),
    )
    stop_at_turn_ends(trainer)
    ends = sorted(tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]))
    assert trainer.vllm_generation.generation_kwargs == {"stop_token_ids": sorted({3, *ends}), "seed": 5}
    assert also({}, [2]) == also({"stop_token_ids": None}, [2]) == [2]


def test_an_end_that_is_not_special_is_no_part_of_the_answer() -> None:
    """TRL leaves out special tokens alone when it decodes."""
    score = GradedReward(exact, "", ("<end>", "\n"))
    assert score(["4<end>", "4\n", "4", "<end>4"], ["4"] * 4, lambda *pair: None) == [1.0, 1.0, 1.0, 0.0]


def test_a_residual_export_and_a_merged_one_name_what_is_named(tmp_path: Path) -> None:
    written = chat_tokenizer()
    path = chat_model(tmp_path / "model", written)
    save(attach(load_model(path), "pissa", r=2, alpha=4), tmp_path / "adapter")
    ends = sorted(written.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>", "<|eot|>"]))
    for form, place in (("merged", "merged"), ("residual", "residual/base")):
        export(tmp_path / "adapter", path, form, tmp_path / form, turn_ends=["<|eot|>"])
        assert read_json(tmp_path / place / "generation_config.json")["eos_token_id"] == ends
    with pytest.raises(UserError, match="not one token"):
        export(tmp_path / "adapter", path, "merged", tmp_path / "other", turn_ends=["<|nothing|>"])
    assert not (tmp_path / "other").exists()


def test_a_name_in_a_recipe_that_is_no_token_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = chat_model(tmp_path / "model", chat_tokenizer())
    with pytest.raises(UserError, match="<\\|nothing\\|>"):
        train(make_recipe(tables(path, rows_file(tmp_path), turn_ends=["<|nothing|>"])), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_rollout_run_cuts_off_only_what_does_not_end(tmp_path: Path) -> None:
    path = chat_model(tmp_path / "model", chat_tokenizer())
    settings = {**tables(path, rows_file(tmp_path)), "optim": {"rollouts": 1, "updates_per_rollout": 1}}
    settings["rollout"]["completions"] = 16
    train(make_recipe(settings), tmp_path / "plain")
    settings["model"]["turn_ends"] = [chr(code) for code in range(33, 127)]  # any character at all
    train(make_recipe(settings), tmp_path / "named")
    plain, named = (read_jsonl(tmp_path / name / "metrics.jsonl")[0] for name in ("plain", "named"))
    assert named["truncated_fraction"] == 0.0 < plain["truncated_fraction"]
