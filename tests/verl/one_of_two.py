"""One of two of verl's processes; leaves what a test looks at in files: rank, port, base, adapter, out, fsdp_size."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

from .platform import on_cpu

rank, port = int(sys.argv[1]), int(sys.argv[2])
base, adapter, out = sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5])
on_cpu(rank, 2, port)
warnings.simplefilter("ignore")

from torch.distributed.tensor import DTensor  # noqa: E402

from stiefel.errors import UserError  # noqa: E402

from .engines import ROWS, log_probs, make_engine, rollout, update  # noqa: E402

settings = {"fsdp_size": int(sys.argv[6]), "override_optimizer_config": {"eps": 1.0}, "weight_decay": 0.1, "lr": 0.1}
mine = slice(rank * ROWS // 2, (rank + 1) * ROWS // 2)
try:
    engine = make_engine(adapter, base, **settings)
except UserError as error:
    (out / f"error-{rank}.txt").write_text(str(error))
    sys.exit(3)
found = {"start": log_probs(engine, rollout(0, mine)), "start_base": log_probs(engine, rollout(0, mine), base=True)}
metrics = update(engine, rollout(0, mine))
found["metrics"] = {key: metrics[key] for key in ("grad_norm", "kl_base")}
found["payload"] = dict(engine.get_per_tensor_param(base_sync_done=True)[0])
found["base"] = log_probs(engine, rollout(0, mine), base=True)
found["parts"] = {
    name: tuple(value.to_local().shape) for name, value in engine.module.state_dict().items() if "lora_A" in name
}
engine.save_checkpoint(str(out / "actor"), global_step=1)
update(engine, rollout(1, mine))
found["went on"] = dict(engine.get_per_tensor_param(base_sync_done=True)[0])
resumed = make_engine(adapter, base, **settings)
resumed.load_checkpoint(str(out / "actor"))
update(resumed, rollout(1, mine))
found["resumed"] = dict(resumed.get_per_tensor_param(base_sync_done=True)[0])
assert all(isinstance(value, DTensor) for name, value in engine.module.state_dict().items() if "lora_" in name)
torch.save(found, out / f"found-{rank}.pt")
