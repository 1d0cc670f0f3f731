"""What torch can compute on."""

from __future__ import annotations

from .finding import Finding

NO_GPU = "nano and models of some 100M parameters need none; larger ones do, with a CUDA build of torch"


def gpus() -> Finding:
    """The GPUs, their memory and what of it is free; broken where torch itself is."""
    try:
        import torch
    except (ImportError, OSError) as error:  # a library of the system that it needs
        return Finding("torch", "broken", str(error).splitlines()[0], "install torch again: pytorch.org", required=True)
    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}, and finds none" if torch.version.cuda else "CPU build"
        return Finding("GPU", "absent", f"none ({built})", NO_GPU)
    words = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        words.append(f"{name}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free")
    return Finding("GPU", "works", f"{'; '.join(words)} (CUDA {torch.version.cuda})")


def bfloat16() -> Finding:
    """Whether products of bfloat16 are computed, by one that is."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return Finding("bfloat16", "absent", "this GPU has none", 'model.dtype = "float32" or "float16"')
    ones = torch.ones(8, 8, dtype=torch.bfloat16, device=device)
    assert float((ones @ ones).sum()) == 512.0
    return Finding("bfloat16", "works", f"on the {'GPU' if device == 'cuda' else 'CPU'}")
