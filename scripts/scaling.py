"""Regenerate docs/scaling.md's tables of memory: `python -m scripts.scaling`."""

from __future__ import annotations

from pathlib import Path

from scripts.readme import replace_block
from stiefel.foresight.memory_needed import Shapes, Step, cache, needed

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
QWEN25 = {  # the published config.json of each size
    "0.5B": Shapes(24, 896, 4864, 14, 2, 64, 151_936, tied=True, biases=True),
    "1.5B": Shapes(28, 1536, 8960, 12, 2, 128, 151_936, tied=True, biases=True),
    "7B": Shapes(28, 3584, 18944, 28, 4, 128, 152_064, tied=False, biases=True),
    "14B": Shapes(48, 5120, 13824, 40, 8, 128, 152_064, tied=False, biases=True),
    "32B": Shapes(64, 5120, 27648, 40, 8, 128, 152_064, tied=False, biases=True),
    "72B": Shapes(80, 8192, 29568, 64, 8, 128, 152_064, tied=False, biases=True),
}
RANK, LENGTH, ROWS = 16, 4096, 64
METHODS = {"LoRA": (RANK, False), "anchored": (RANK, True), "full": (0, False)}
GPU, SHARE, SPARE = 80e9, 0.3, 0.05  # bytes, vLLM's part of them, what frameworks keep for themselves


def step(method: str, processes: int = 1, *, checkpointed: bool = True) -> Step:
    """One sequence a pass in bfloat16."""
    rank, anchored = METHODS[method]
    return Step(rank, 1, LENGTH, anchored, checkpointed=checkpointed, processes=processes)


def how(shapes: Shapes, method: str) -> str:
    """What launches it, and on how many GPUs at least beside a colocated vLLM."""
    room, processes = GPU * (1 - SHARE - SPARE), parallel(shapes)
    if needed(shapes, step(method)).total <= room:
        return "1" if processes == 1 else f"{processes}, DDP"
    if method == "full":
        return "–"
    while needed(shapes, step(method, processes)).total > room or processes == 1:
        processes *= 2
    return f"{processes}, FSDP2"


def parallel(shapes: Shapes) -> int:
    """Over how many GPUs vLLM must divide the model, so that weights take four fifths of its share at most."""
    size = 1
    while shapes.parameters * 2 / size > 0.8 * SHARE * GPU:
        size *= 2
    return size


def gigabytes(count: float) -> str:
    """Three digits."""
    return f"{count / 1e9:.3g}" if count < 999.5e9 else f"{count / 1e9:,.0f}"


def memory_table() -> str:
    """A row for each size and method."""
    lines = [
        "| model | method | GPUs of 80 GB | weights | trained | activations | checkpointed | head | total "
        "| total, checkpointed |\n",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    ]
    for name, shapes in QWEN25.items():
        for method in METHODS:
            plain, frugal = (needed(shapes, step(method, checkpointed=one)) for one in (False, True))
            sizes = (plain.weights, plain.trained, plain.activations, frugal.activations, plain.head)
            cells = (*sizes, plain.total, frugal.total)
            figures = " | ".join(map(gigabytes, cells))
            lines.append(f"| Qwen2.5-{name} | {method} | {how(shapes, method)} | {figures} |\n")
    return "".join(lines)


def engine_table() -> str:
    """What generation takes: a row for each size."""
    lines = [
        f"| model | weights, bfloat16 | keys and values of {ROWS} × {LENGTH} tokens | `rollout.vllm_tensor_parallel` "
        f"at a share of {SHARE:g} |\n",
        "|---|---:|---:|---:|\n",
    ]
    for name, shapes in QWEN25.items():
        kept = gigabytes(cache(shapes, ROWS, LENGTH))
        lines.append(f"| Qwen2.5-{name} | {gigabytes(2 * shapes.parameters)} | {kept} | {parallel(shapes)} |\n")
    return "".join(lines)


def page() -> str:
    """docs/scaling.md as it should be."""
    text = replace_block(PAGE.read_text(), "memory", memory_table())
    return replace_block(text, "engine", engine_table())


def write() -> None:
    """docs/scaling.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
