"""docs/scaling.md: its tables are the formula's, and its commands are what their programs take."""

from __future__ import annotations

import re
import shlex

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from scripts.scaling import PAGE, QWEN25, page

COMMANDS = sorted(set(re.findall(r"accelerate launch [^`'\n]+", PAGE.read_text())))
PUBLISHED = {"0.5B": 0.494, "1.5B": 1.54, "7B": 7.62, "14B": 14.8, "32B": 32.8, "72B": 72.7}  # model cards, 10⁹


def test_the_tables_are_fresh() -> None:
    assert PAGE.read_text() == page(), "run `python -m scripts.scaling`"


@pytest.mark.parametrize("size", QWEN25)
def test_the_sizes_are_the_published_ones(size: str) -> None:
    assert QWEN25[size].parameters / 1e9 == pytest.approx(PUBLISHED[size], rel=5e-3)


@pytest.mark.parametrize("command", COMMANDS)
def test_accelerate_takes_every_launch(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(re.sub(r"\$\([^)]*\)", "10.0.0.1", command).replace("$SLURM_NODEID", "3"))
    arguments = launch_command_parser().parse_args(words[2:])
    assert (arguments.module, arguments.training_script) == (True, "stiefel")
    settled, _, _ = _validate_launch_command(arguments)
    assert settled.num_processes == 8 * settled.num_machines
    if settled.num_machines > 1:
        assert settled.main_process_ip == "10.0.0.1"
        assert settled.machine_rank in range(settled.num_machines)
        assert int(settled.main_process_port) == 29500
    assert settled.training_script_args[0] == "train"


def test_there_are_launches_of_one_machine_and_of_several() -> None:
    assert any("--num_machines 4" in command for command in COMMANDS)
    assert any("--num_machines" not in command for command in COMMANDS)
