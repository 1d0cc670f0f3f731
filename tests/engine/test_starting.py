"""What a start of vLLM changes of the process is put back, and what it says is kept."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ValidationError, field_validator

from stiefel.engine import at_home, own_dtype
from stiefel.engine.starting import cause
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH


def test_the_process_is_as_it_was_but_for_vllms_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LD_PRELOAD", "VLLM_NEW", "VLLM_NO_USAGE_STATS"):
        monkeypatch.setenv(name, "before")  # so that it is put back behind this test
    monkeypatch.delenv("LD_PRELOAD")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    threads = torch.set_num_threads
    states = random.getstate(), torch.random.get_rng_state(), np.random.get_state()[1].copy()
    with at_home():
        assert os.environ["VLLM_NO_USAGE_STATS"] == "before"
        assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
        os.environ |= {"LD_PRELOAD": "/a.so", "LOCAL_WORLD_SIZE": "1", "VLLM_NEW": "after"}
        torch.set_num_threads = lambda count: None
        random.seed(1)
        torch.manual_seed(1)
        np.random.seed(1)
    assert "LD_PRELOAD" not in os.environ
    assert (os.environ["LOCAL_WORLD_SIZE"], os.environ["VLLM_NEW"]) == ("4", "after")
    assert torch.set_num_threads is threads
    assert random.getstate() == states[0]
    assert torch.equal(torch.random.get_rng_state(), states[1])
    assert np.array_equal(np.random.get_state()[1], states[2])


def test_what_is_said_meanwhile_is_kept(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_LOGGING_LEVEL", raising=False)
    for _ in range(2):
        with at_home():
            os.write(2, b"noise\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "INFO")
    with at_home():
        os.write(2, b"asked for\n")
    assert capfd.readouterr().err == "asked for\n"


def test_it_is_shown_where_the_start_fails(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_LOGGING_LEVEL", raising=False)

    def fail() -> None:
        with at_home():
            os.write(2, b"the cause\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capfd.readouterr().err == "the cause\n"


def test_the_type_is_that_of_the_config_or_of_the_weights(tmp_path) -> None:
    assert own_dtype(NANO_PATH) == "float32"
    load_model("nano", "bfloat16").save_pretrained(str(tmp_path))
    assert own_dtype(tmp_path) == "bfloat16"
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"dtype": "bfloat16",', ""))
    assert own_dtype(tmp_path) == "bfloat16"


def test_every_setting_that_vllm_refuses_is_named_and_no_line_more() -> None:
    """pydantic's first line counts them, and the others end on an address."""

    class Settings(BaseModel):
        length: int

        @field_validator("length")
        @classmethod
        def fits(cls, value: int) -> int:
            raise ValueError(f"length ({value}) is greater than the model's")

    with pytest.raises(ValidationError) as refused:
        Settings(length=1000)
    assert cause(refused.value) == "length: length (1000) is greater than the model's"
    assert cause(RuntimeError("no memory\n  at 0x1")) == "no memory"
    assert cause(NotImplementedError()) == "NotImplementedError"
