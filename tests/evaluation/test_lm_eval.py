"""lm-eval's own code path on nano, the adapter in place: a task of its YAML whose data lie in a local file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stiefel.adapter.attached import attach
from stiefel.adapter.saved import save
from stiefel.artifacts import read_json, read_jsonl
from stiefel.cli import main
from stiefel.model.weights import load_model
from stiefel.tasks import find_task

pytest.importorskip("lm_eval")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")

TASK = """
task: sorting
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: []
  do_sample: false
  max_gen_toks: 20
filter_list:
  - name: none
    filter:
      - function: regex
        regex_pattern: ">([a-z]*)"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = find_task("nano-sort").rows("test", 20, 0)
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"prompt": row.text, "answer": row.answer}) + "\n" for row in rows))
    (tmp_path / "sorting.yaml").write_text(TASK.format(data=data))
    return f"lm-eval:{tmp_path / 'sorting.yaml'}"


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as status:
        main(["eval", *map(str, arguments)])
    assert status.value.code == 0


def test_its_scores_and_samples_land_in_the_same_directory(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run("nano", "--task", task, "--out", out)
    printed = capsys.readouterr()
    assert "sorting exact_match" in printed.out
    assert {path.name for path in out.iterdir()} == {"manifest.json", "samples.jsonl", "eval.json"}
    score = read_json(out / "eval.json")["scores"]["sorting exact_match"]
    assert score["questions"] == 20
    assert score["low"] <= score["mean"] <= score["high"]
    assert score["mean"] >= 0.8  # as nano sorts: tests/nano
    rows = read_jsonl(out / "samples.jsonl")
    assert sum(row["scores"]["exact_match"] for row in rows) / 20 == score["mean"]
    assert rows[0]["answer"] in json.dumps(rows[0]["completion"])
    before = (out / "eval.json").stat().st_mtime_ns
    run("nano", "--task", task, "--out", out, "--resume")
    assert (out / "eval.json").stat().st_mtime_ns == before


def test_the_adapter_is_in_place(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = attach(load_model("nano"), "rlpo", r=4, alpha=8)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data += 0.1  # far enough that it can no longer sort
    save(model, tmp_path / "adapter")
    run("nano", "--adapter", tmp_path / "adapter", "--task", task, "--out", tmp_path / "out")
    assert read_json(tmp_path / "out" / "eval.json")["scores"]["sorting exact_match"]["mean"] <= 0.5
    assert read_json(tmp_path / "out" / "manifest.json")["adapter"]["method"] == "rlpo"
    capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lm-eval:ifevall", "did you mean ifeval"),
        ("lm-eval:gsm8k", "could not load gsm8k"),
    ],
)
def test_what_it_cannot_run_is_said(
    name: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as status:
        main(["eval", "nano", "--task", name, "--out", str(tmp_path / "out")])
    assert status.value.code == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
