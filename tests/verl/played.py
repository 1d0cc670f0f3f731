"""vLLM's CPU build with verl's own worker extension in it: python -m tests.verl.played BASE RANK ASKED TOLD.

verl is in one environment and vLLM's CPU build in another; torch is the same in both, so that the second's packages can
stand behind the first's. ASKED holds prompts, and maybe the payload of a sync; TOLD gets completions and their scores.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import torch

OTHER = Path(__file__).parents[2] / ".venv-vllm" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
VLLM = "0.30.0+cpu"


def main(base: str, rank: int, asked: str, told: str) -> None:
    """Sample, from the base or from the policy that was sent."""
    named = Path(tempfile.mkdtemp()) / f"vllm-{VLLM}.dist-info"  # verl asks for the package by its name
    named.mkdir()
    (named / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}\n")
    sys.path += [str(OTHER), str(named.parent)]
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
    }
    from verl.plugin.platform import set_platform

    from .platform import CPU

    set_platform(CPU())
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest
    from vllm.model_executor.models.utils import WeightsMapper

    WeightsMapper.get_unstacked_mapper = WeightsMapper.get_rename_mapper  # as it was called when verl 0.9.1 was written

    question = torch.load(asked, weights_only=True)
    engine = LLM(
        model=base,
        dtype=question["dtype"],
        max_model_len=64,
        enable_lora=True,
        max_lora_rank=rank,
        enforce_eager=True,
        worker_extension_cls="verl.workers.rollout.vllm_rollout.utils.vLLMColocateWorkerExtension",
    )
    request = None
    if "payload" in question:
        from verl.workers.rollout.vllm_rollout.utils import VLLM_LORA_INT_ID, VLLM_LORA_NAME, VLLM_LORA_PATH

        tensors = list(question["payload"].items())
        engine.collective_rpc("_update_weights", args=(tensors, question["config"], True))
        request = LoRARequest(VLLM_LORA_NAME, VLLM_LORA_INT_ID, VLLM_LORA_PATH)
    sampled = SamplingParams(max_tokens=question["sample"], temperature=1.0, seed=3, logprobs=0, ignore_eos=True)
    prompts = [{"prompt_token_ids": tokens} for tokens in question["tokens"]]
    outputs = engine.generate(prompts, sampled, lora_request=request, use_tqdm=False)
    written = [output.outputs[0] for output in outputs]
    torch.save(
        {
            "completions": [list(one.token_ids) for one in written],
            "scores": [
                [place[token].logprob for token, place in zip(one.token_ids, one.logprobs, strict=True)]
                for one in written
            ],
        },
        told,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
