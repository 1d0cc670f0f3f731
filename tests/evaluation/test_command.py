"""`stiefel eval` as a user has it: what it prints, writes, compares and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from stiefel.adapter.attached import attach
from stiefel.adapter.saved import save
from stiefel.artifacts import read_json, read_jsonl
from stiefel.cli import main
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.nano import NANO_PATH

SHORT = ("--task", "nano-arithmetic", "--limit", "12", "--max-tokens", "30")


def run(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> tuple[str, str]:
    """(stdout, stderr) of a command that ends so."""
    with pytest.raises(SystemExit) as ended:
        main(["eval", *map(str, arguments)])
    printed = capsys.readouterr()
    assert ended.value.code == status, printed.err
    assert "Traceback" not in printed.err
    return printed.out, printed.err


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "out"
    with pytest.raises(SystemExit):
        main(["eval", "nano", *SHORT, "--samples", "4", "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An anchored adapter that changes what nano writes."""
    out = tmp_path_factory.mktemp("adapter") / "adapter"
    model = attach(load_model("nano"), "pissa", r=4, alpha=8)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "lora_B" in name:
            parameter.data += 0.02
    save(model, out)
    return out


def plain_adapter(out: Path, base_name: str) -> Path:
    """What PEFT alone saves, with a change in it."""
    model = get_peft_model(load_model("nano"), LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    model.save_pretrained(str(out))
    config = read_json(out / "adapter_config.json") | {"base_model_name_or_path": base_name}
    (out / "adapter_config.json").write_text(json.dumps(config))
    return out


def test_it_writes_samples_and_scores_and_says_what_is_next(base: Path) -> None:
    assert {path.name for path in base.iterdir()} == {"manifest.json", "samples.jsonl", "eval.json"}
    manifest = read_json(base / "manifest.json")
    assert manifest["status"] == "finished"
    assert manifest["origin"]["source"] == "built in"
    assert manifest["sampling"] == {
        "samples": 4,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "max_tokens": 30,
        "seed": 0,
    }
    rows = read_jsonl(base / "samples.jsonl")
    assert len({(row["question"], row["sample"]) for row in rows}) == len(rows) == 48
    summary = read_json(base / "eval.json")
    assert list(summary["scores"]) == ["avg@4", "pass@1", "pass@2", "pass@3", "pass@4"]
    mean = sum(row["score"] for row in rows) / 48
    assert summary["scores"]["avg@4"]["mean"] == summary["scores"]["pass@1"]["mean"] == pytest.approx(mean)
    passed = {row["question"] for row in rows if row["score"] == 1}
    assert summary["scores"]["pass@4"]["mean"] == len(passed) / 12
    assert summary["mean_tokens"] == pytest.approx(sum(row["tokens"] for row in rows) / 48)
    assert summary["truncated"] == sum(row["truncated"] for row in rows) / 48


def test_the_table_shows_what_was_asked_for(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, said = run(capsys, "nano", *SHORT, "--samples", 4, "--out", base, "--resume", "--k", "1,3")
    assert "is finished" in said
    assert "pass@3" in table
    assert "pass@2" not in table
    assert "avg@4" in table
    assert "--adapter DIR --out" in said
    printed, _ = run(capsys, "nano", *SHORT, "--samples", 4, "--out", base, "--resume", "--json")
    assert json.loads(printed) == read_json(base / "eval.json")


def test_an_adapter_is_measured_and_compared_question_by_question(
    base: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("nano", "--adapter", adapter, *SHORT, "--samples", 4, "--out", out, "--against", base)
    printed, _ = run(capsys, *arguments, "--json")
    comparison = json.loads(printed)["comparison"]
    before, after = read_json(base / "eval.json")["scores"], read_json(out / "eval.json")["scores"]
    for name, key in (("avg", "avg@4"), ("pass@2", "pass@2"), ("pass@4", "pass@4")):
        found = comparison["differences"][name]
        assert (found["before"], found["after"]) == (
            pytest.approx(before[key]["mean"]),
            pytest.approx(after[key]["mean"]),
        )
        assert found["mean"] == pytest.approx(after[key]["mean"] - before[key]["mean"])
        assert found["low"] <= found["mean"] <= found["high"]
    assert comparison["sampling"] == {}
    assert read_json(out / "manifest.json")["adapter"]["method"] == "pissa"
    assert read_jsonl(out / "samples.jsonl") != read_jsonl(base / "samples.jsonl")
    table, said = run(capsys, *arguments, "--resume")
    assert f"against {base}" in table
    assert "difference [95%]" in table
    assert "next: stiefel inspect" in said
    run(capsys, "nano", "--adapter", adapter, *SHORT, "--samples", 4, "--out", base, "--resume", status=2)


def test_another_way_of_sampling_is_noted(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, said = run(
        capsys, "nano", *SHORT, "--samples", 2, "--temperature", 0.5, "--out", tmp_path / "out", "--against", base
    )
    assert "sampled differently: temperature 1.0 there, 0.5 here" in said


def test_a_runs_directory_and_a_plain_adapter_will_do(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = tmp_path / "run"
    shutil.copytree(adapter, ran / "adapter")
    (ran / "recipe.toml").write_text("")
    plain = plain_adapter(tmp_path / "plain", str(NANO_PATH))
    found = []
    for number, directory in enumerate((adapter, ran, plain)):
        out = tmp_path / f"out{number}"
        run(capsys, "nano", "--adapter", directory, *SHORT, "--out", out)
        found.append(read_jsonl(out / "samples.jsonl"))
    assert found[0] == found[1] != found[2]


def test_one_prompt_as_the_model_gets_it_without_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"  # a tokenizer and no weights
    shutil.copytree(NANO_PATH, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    printed, said = run(capsys, bare, "--task", "nano-arithmetic", "--show", 1)
    assert printed.startswith("<bos>")
    assert printed.endswith("?\n")
    assert f"{len(printed.strip()) - len('<bos>') + 1} tokens" in said
    tokenizer = json.loads((bare / "tokenizer_config.json").read_text())
    tokenizer["chat_template"] = (
        "{% for m in messages %}<bos>{{ m.content }}<eos>{% endfor %}{% if add_generation_prompt %}>{% endif %}"
    )
    (bare / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"prompt": "1+1?", "answer": "2"}) + "\n")
    printed, _ = run(capsys, bare, "--task", "math", "--data", data, "--show", 1)
    assert printed == "<bos>1+1?<eos>>\n"
    shown, _ = run(capsys, bare, "--task", "math", "--data", data, "--show", 3, "--json")
    (prompt,) = json.loads(shown)
    nano = load_tokenizer("nano")
    assert prompt["tokens"] == nano("<bos>1+1?<eos>>", add_special_tokens=False)["input_ids"]
    assert prompt["tokens"][0] == nano.bos_token_id, "one, which the template writes"


def test_unreadable_golds_are_left_out_counted_and_an_error_if_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data.jsonl", tmp_path / "out"
    golds = ["46", "\\frac{", "46"]
    data.write_text("".join(json.dumps({"prompt": "12+34?", "answer": gold}) + "\n" for gold in golds))
    arguments = ("nano", "--task", "math", "--data", data, "--max-tokens", 40, "--samples", 2, "--out", out)
    table, said = run(capsys, *arguments)
    assert "warning: math: the gold answers of 1 of 3 questions cannot be read and are left out" in said
    assert "question 2" in said
    assert "1 of them unreadable" in table
    summary = read_json(out / "eval.json")
    assert (summary["questions"], summary["unreadable"]) == (3, 1)
    assert summary["scores"]["avg@2"]["questions"] == 2
    run(capsys, *arguments, "--resume", "--strict", status=1)
    data.write_text(json.dumps({"prompt": "12+34?", "answer": "\\frac{"}) + "\n")
    table, _ = run(capsys, *arguments, "--force", status=1)
    assert "no gold answer could be read" in table


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    printed, said = run(capsys, *arguments, status=2)
    assert printed == ""
    message = said[said.index("error: ") :]
    assert "\n  why: " in message
    assert "\n  instead: " in message
    return message


NANO = ("nano", "--task", "nano-sort", "--out", "OUT")
MISTAKES: dict[str, tuple[tuple[object, ...], str]] = {
    "unknown task": (("nano", "--task", "gsm8", "--out", "OUT"), "did you mean gsm8k"),
    "k above n": ((*NANO, "--samples", 4, "--k", "1,8"), "k = 8 is more than the 4 samples"),
    "k of nothing": ((*NANO, "--k", "0"), "k = 0"),
    "k that is no number": ((*NANO, "--k", "1;2"), "no list of whole numbers"),
    "temperature below 0": ((*NANO, "--temperature", -0.1), "--temperature -0.1"),
    "temperature that is no number": ((*NANO, "--temperature", "nan"), "--temperature nan"),
    "top-p of 0": ((*NANO, "--top-p", 0), "--top-p 0"),
    "top-p above 1": ((*NANO, "--top-p", 1.5), "--top-p 1.5"),
    "top-k below 0": ((*NANO, "--top-k", -1), "--top-k -1"),
    "no samples": ((*NANO, "--samples", 0), "--samples 0"),
    "no tokens": ((*NANO, "--max-tokens", 0), "--max-tokens 0"),
    "a limit of 0": ((*NANO, "--limit", 0), "--limit 0"),
    "a batch of 0": ((*NANO, "--batch", 0), "--batch 0"),
    "a seed below 0": ((*NANO, "--seed", -1), "--seed -1"),
    "many greedy samples": ((*NANO, "--temperature", 0, "--samples", 4), "the same completion every time"),
    "a nucleus of greedy decoding": ((*NANO, "--temperature", 0, "--top-p", 0.9), "nothing reads it"),
    "beyond the context": ((*NANO, "--max-tokens", 400), "its context is 256 tokens"),
    "no output": (("nano", "--task", "nano-sort"), "add --out DIR"),
    "show of nothing": (("nano", "--task", "nano-sort", "--show", 0), "--show 0"),
    "data of a task that makes its own": ((*NANO, "--data", "DATA"), "nano-sort takes no data"),
    "data that are not there": (("nano", "--task", "gsm8k", "--data", "./no.jsonl", "--out", "OUT"), "no data at"),
    "not JSON at line 17": (("nano", "--task", "gsm8k", "--data", "BROKEN", "--out", "OUT"), "line 17 is not JSON"),
    "a missing column": (("nano", "--task", "gsm8k", "--data", "NO_COLUMN", "--out", "OUT"), "has no column question"),
    "an empty gold": (("nano", "--task", "gsm8k", "--data", "EMPTY_GOLD", "--out", "OUT"), "row 2"),
    "a hub out of reach": (("nano", "--task", "gsm8k", "--out", "OUT"), "--data FILE"),
    "no adapter": ((*NANO, "--adapter", "EMPTY"), "is no adapter"),
    "a run that has not ended": ((*NANO, "--adapter", "RUN"), "run without an adapter"),
    "a pickled adapter": ((*NANO, "--adapter", "PICKLED"), "never"),
    "an adapter for another base": ((*NANO, "--adapter", "OTHER"), "was made for another base"),
    "a plain adapter for another base": ((*NANO, "--adapter", "PLAIN"), "was made for another base"),
    "a plain adapter named for another base": (
        ("nobody/nothing", *NANO[1:], "--adapter", "NAMED"),
        "names someone/something, not nobody/nothing",
    ),
    "nothing to compare with": ((*NANO, "--against", "EMPTY"), "holds no finished evaluation"),
    "vLLM where there is none": ((*NANO, "--engine", "vllm"), "vLLM is not installed"),
    "a model that is not there": (("./nowhere", *NANO[1:]), "no model at ./nowhere"),
    "going on and beginning again": ((*NANO, "--resume", "--force"), "both given"),
    "a setting that lm-eval has itself": (
        ("nano", "--task", "lm-eval:ifeval", "--temperature", 1, "--out", "OUT"),
        "lm-eval's own there",
    ),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the mistakes are made with."""
    root = tmp_path_factory.mktemp("places")
    found = {name: root / name.lower() for name in ("EMPTY", "RUN", "PICKLED", "OTHER", "PLAIN", "NAMED", "DATA")}
    for name in ("EMPTY", "RUN", "PICKLED"):
        found[name].mkdir()
    (found["RUN"] / "recipe.toml").write_text("")
    (found["PICKLED"] / "adapter_config.json").write_text("{}")
    (found["PICKLED"] / "adapter_model.bin").write_bytes(b"\x80\x04.")
    changed = load_model("nano")
    changed.model.layers[0].self_attn.q_proj.weight.data *= 1.5
    save(attach(changed, "rlpo", r=2, alpha=4), found["OTHER"])
    plain_adapter(found["PLAIN"], "somewhere/else")
    factors = load_file(found["PLAIN"] / "adapter_model.safetensors")
    save_file(
        {name: tensor[..., :7].contiguous() for name, tensor in factors.items()},
        found["PLAIN"] / "adapter_model.safetensors",
    )
    plain_adapter(found["NAMED"], "someone/something")
    row = json.dumps({"question": "1+1?", "answer": "#### 2"}) + "\n"
    found["DATA"].write_text(row)
    for name, text in {
        "BROKEN": row * 16 + "{not json\n",
        "NO_COLUMN": row + json.dumps({"problem": "1+1?", "answer": "2"}) + "\n",
        "EMPTY_GOLD": row + json.dumps({"question": "1+1?", "answer": ""}) + "\n",
    }.items():
        found[name] = root / f"{name.lower()}.jsonl"
        found[name].write_text(text)
    return found


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_message_and_leaves_nothing(
    mistake: str,
    places: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments, expected = MISTAKES[mistake]
    monkeypatch.chdir(tmp_path)
    known: dict[Any, Path] = {**places, "OUT": tmp_path / "out"}
    assert expected in refused(capsys, *(known.get(argument, argument) for argument in arguments))
    assert list(tmp_path.iterdir()) == []


def test_other_questions_are_not_compared(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--out", tmp_path / "out", "--against", base)
    assert "asked 12 questions, this one asks 13" in refused(capsys, "nano", *SHORT, "--limit", 13, *out)
    message = refused(capsys, "nano", "--task", "nano-sort", "--limit", 12, *out)
    assert "an evaluation of nano-arithmetic, this one of nano-sort" in message
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_kept_or_replaced_as_asked(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(base, out)
    assert "already exists" in refused(capsys, "nano", *SHORT, "--out", out)
    assert read_json(out / "eval.json") == read_json(base / "eval.json")
    run(capsys, "nano", *SHORT, "--out", out, "--force")
    assert read_json(out / "eval.json")["samples"] == 1
    (out / "thesis.txt").write_text("precious")
    assert "not written by Stiefel" in refused(capsys, "nano", *SHORT, "--out", out, "--force")
    trained = tmp_path / "run"
    trained.mkdir()
    (trained / "manifest.json").write_text('{"status": "finished", "seed": 0}')
    assert "is no evaluation" in refused(capsys, "nano", *SHORT, "--out", trained, "--resume")
    assert "is of another kind: run, not evaluation" in refused(capsys, "nano", *SHORT, "--out", trained, "--force")
    assert read_json(trained / "manifest.json") == {"status": "finished", "seed": 0}
