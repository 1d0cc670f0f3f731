"""Where rows may be: the hub (the real client against one on the loopback), a directory, and files of every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from stiefel.errors import UserError
from stiefel.tasks import find_task
from tests.tasks.loopback import COMMIT, lay_out, serving

GSM8K = {
    "main": {
        "test": [{"question": f"{n}+1?", "answer": f"#### {n + 1}"} for n in range(3)],
        "train": [{"question": f"{n}+2?", "answer": f"#### {n + 2}"} for n in range(5)],
    }
}
OLYMMATH = {
    f"en-{kind}": {"test": [{"problem": f"{kind} {n}", "answer": str(n), "unique_id": f"{kind}-{n}"} for n in range(2)]}
    for kind in ("easy", "hard")
}


PROGRAM = """
import json, sys, time
from stiefel.errors import UserError
from stiefel.tasks import find_task
time.sleep = lambda seconds: None  # what the client waits between its attempts on a hub that is gone
replies = []
for name, options, split in json.loads(sys.argv[1]):
    try:
        task = find_task(name, **options)
        replies.append({"answers": [row.answer for row in task.rows(split, 4, 0)], "origin": task.origin(split)})
    except UserError as error:
        replies.append({"what": error.what, "why": error.why, "instead": error.instead})
print(json.dumps(replies))
"""
Reply = dict[str, Any]
ASKED: dict[str, tuple[str, dict[str, str], str]] = {  # name, find_task's options, split
    "test": ("gsm8k", {}, "test"),
    "train": ("gsm8k", {}, "train"),
    "both": ("olymmath", {}, "test"),
    "other": ("gsm8k", {"data": "someone/like_gsm8k"}, "test"),
    "no repository": ("svamp", {}, "test"),
    "no revision": ("gsm8k", {"revision": "nope"}, "test"),
    "no split": ("gsm8k", {"split": "dev"}, "test"),
    "no config": ("gsm8k", {"data": "RUC-AIBOX/OlymMATH"}, "test"),
    "a program": ("gsm8k", {"data": "someone/with_code"}, "test"),
}


def ask(url: str, home: Path, names: Iterable[str]) -> dict[str, Reply]:
    """What a fresh process finds, with the client's cache in `home`; a process reads the hub's address once."""
    environment = os.environ | {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home)}
    command = [sys.executable, "-c", PROGRAM, json.dumps([ASKED[name] for name in names])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip(names, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("places")


@pytest.fixture(scope="module")
def replies(place: Path) -> dict[str, Reply]:
    """Of a hub that is there; its files are left in the client's cache."""
    lay_out(place / "hub" / "openai" / "gsm8k", GSM8K)
    lay_out(place / "hub" / "RUC-AIBOX" / "OlymMATH", OLYMMATH)
    lay_out(place / "hub" / "someone" / "like_gsm8k", {"default": GSM8K["main"]})
    lay_out(place / "hub" / "someone" / "with_code", {"default": GSM8K["main"]})
    code = f"from pathlib import Path\nPath({str(place / 'run')!r}).write_text('it was run')\n"
    (place / "hub" / "someone" / "with_code" / "with_code.py").write_text(code)
    with serving(place / "hub") as server:
        return ask(server.url, place / "home", ASKED)


STATED = {"source": "hub", "id": "openai/gsm8k", "config": "main", "revision": COMMIT}


def test_rows_come_from_the_hub_at_a_commit_that_is_stated(replies: dict[str, Reply]) -> None:
    test, train, both, other = (replies[name] for name in ("test", "train", "both", "other"))
    assert test == {"answers": ["1", "2", "3"], "origin": {**STATED, "split": "test", "rows": 3}}
    assert train["origin"] == {**STATED, "split": "train", "rows": 5}
    assert len(set(train["answers"])) == 4
    assert both["answers"] == ["0", "1", "0", "1"]
    assert (both["origin"]["config"], both["origin"]["rows"]) == ("en-easy, en-hard", 4)
    assert (other["answers"], other["origin"]["id"]) == (test["answers"], "someone/like_gsm8k")


def test_what_the_hub_has_not_is_one_message_that_says_how_to_go_on(replies: dict[str, Reply]) -> None:
    asked = ("no repository", "no revision", "no split", "no config")
    no_repository, no_revision, no_split, no_config = (replies[name] for name in asked)
    assert "no data set ChilleD/SVAMP with a split test" in no_repository["what"]
    assert "nope" in no_revision["what"] + no_revision["why"]
    assert "dev" in no_split["why"]
    assert "train" in no_split["why"]
    assert "en-easy" in no_config["why"]
    for reply in (no_repository, no_revision, no_split, no_config):
        assert "--data FILE (in a recipe: task.data), with the columns" in reply["instead"]


def test_a_data_set_that_is_a_program_is_refused_and_not_run(replies: dict[str, Reply], place: Path) -> None:
    assert "scripts are no longer supported" in replies["a program"]["why"]
    assert not (place / "run").exists()


def test_a_hub_that_is_gone_leaves_the_copy_of_it(replies: dict[str, Reply], place: Path) -> None:
    gone = ask("http://127.0.0.1:9", place / "home", ["test", "no repository"])  # nobody listens there
    assert gone["test"] == replies["test"]
    assert "ChilleD/SVAMP" in gone["no repository"]["what"]
    assert "--data FILE" in gone["no repository"]["instead"]


def test_a_directory_laid_out_like_the_hubs_is_read(tmp_path: Path) -> None:
    lay_out(tmp_path / "copy", {"default": GSM8K["main"]})
    task = find_task("gsm8k", str(tmp_path / "copy"))
    assert [row.answer for row in task.rows("test", 9, 0)] == ["1", "2", "3"]
    assert task.origin() == {
        "source": "directory",
        "path": str(tmp_path / "copy"),
        "config": "",
        "split": "test",
        "rows": 3,
    }


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".csv"])
def test_every_kind_of_file_gives_the_same_rows(suffix: str, tmp_path: Path) -> None:
    records = [{"Body": f"Ann has {n} pens, {n} red.", "Question": "How many?", "Answer": float(n)} for n in range(4)]
    path = tmp_path / f"rows{suffix}"
    match suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
        case ".json":
            path.write_text(json.dumps(records))
        case ".parquet":
            Dataset.from_list(records).to_parquet(path)
        case ".csv":
            Dataset.from_list(records).to_csv(path)
    rows = find_task("svamp", str(path)).rows("test", 9, 0)
    assert [row.answer for row in rows] == ["0", "1", "2", "3"]
    assert rows[1].text.startswith("Ann has 1 pens, 1 red. How many?")


GOOD = json.dumps({"question": "1+1?", "answer": "#### 2"}) + "\n"
BROKEN = {
    "broken at line 17": ("rows.jsonl", 16 * GOOD + "{oops\n", "line 17 is not JSON"),
    "nested beyond reading": ("rows.jsonl", GOOD + "[" * 100_000 + "\n", "line 2 is not JSON"),
    "no rows": ("rows.jsonl", "\n\n", "is empty"),
    "an empty list": ("rows.json", "[]", "is empty"),
    "a list of numbers": ("rows.json", "[1]", "no list of rows"),
    "half a JSON": ("rows.json", '[{"question": ', "is not JSON"),
    "no parquet": ("rows.parquet", "text", "cannot be read"),
    "no text": ("rows.jsonl", b"\xff\xfe\x00", "cannot be read"),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_file_is_one_message(mistake: str, tmp_path: Path) -> None:
    name, content, message = BROKEN[mistake]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        find_task("gsm8k", str(tmp_path / name)).rows("test", 1, 0)


@pytest.mark.parametrize("data", ["nowhere.jsonl", "./rows", "/nowhere/rows", "a/b/c", "rows.parquet"])
def test_a_missing_file_is_not_looked_for_on_the_hub(data: str) -> None:
    with pytest.raises(UserError, match="no data at") as error:
        find_task("gsm8k", data).rows("test", 1, 0)
    assert "columns question, answer" in error.value.instead
