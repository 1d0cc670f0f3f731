"""The launcher configurations are what accelerate reads, and docs/cluster.md speaks of them all."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "recipes" / "cluster").glob("*.yaml"))
KINDS = {
    "ddp": DistributedType.MULTI_GPU,
    "fsdp2": DistributedType.FSDP,
    "deepspeed_zero2": DistributedType.DEEPSPEED,
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_reads_it(path: Path) -> None:
    """accelerate's own loader, which refuses unknown keys, and its launcher's own check."""
    config = load_config_from_file(str(path))
    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == KINDS[path.stem]
    assert config.mixed_precision == "no"  # the recipe's model.dtype decides
    arguments = launch_command_parser().parse_args(["--config_file", str(path), "--num_processes", "4", "script.py"])
    settled, _, _ = _validate_launch_command(arguments)
    assert settled.num_processes == 4
    if path.stem == "fsdp2":
        assert settled.fsdp_version in (2, "2")
        assert str(settled.fsdp_cpu_ram_efficient_loading).lower() == "false"
    if path.stem == "deepspeed_zero2":
        assert int(settled.zero_stage) == 2


def test_every_configuration_is_explained() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    assert {path.stem for path in CONFIGS} == KINDS.keys()
    assert all(f"recipes/cluster/{path.name}" in page for path in CONFIGS)
