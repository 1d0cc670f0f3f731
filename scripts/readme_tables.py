"""The README's tables of what a start and a step cost, from the kept results."""

from __future__ import annotations

from statistics import median
from typing import Any

from scripts.results import results


def solver_table() -> str:
    """One layer of Qwen2.5-1.5B's shapes in memory: each method's solver against torch's full SVD in float32."""
    found = {**results("init")["solvers"], "machine": results("init")["machine"]}
    ratio, tall, seconds = found["ratio"], found["ratio_to_svd_of_the_tall_orientation"], found["seconds"]
    energy = min(row["top_energy"] for row in found["matrices"])
    tail = max(row["bottom_energy"] for row in found["matrices"])
    rows = [
        (
            "RLPO, PiSSA",
            f"{ratio['rlpo_pissa']:.1f}×",
            f"{tall['rlpo_pissa']:.1f}×",
            f"keeps {energy:.6f} of the largest possible energy",
        ),
        ("RLMO", f"{ratio['rlmo']:.1f}×", f"{tall['rlmo']:.1f}×", f"has {tail:.4f} times the least possible energy"),
        (
            "GeoRA",
            f"{seconds['svd'] / seconds['geora']:.1f}×",
            f"{seconds['svd_tall'] / seconds['geora']:.1f}×",
            f"– ({ratio['geora']:.1f}× as fast as its direct way, two full SVDs and two sorts)",
        ),
    ]
    head = ["start", "times as fast as `torch.linalg.svd`", "as that of the tall orientation", "the worst matrix"]
    lines = [f"| {' | '.join(head)} |", "|---|---:|---:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    where = f"Rank {found['rank']}, {found['machine']['device']}, {found['machine']['cores']} cores"
    return "\n".join(lines) + f"\n\n{where}: `python -m benchmarks.init`.\n"


def grid_sentence() -> str:
    """What a grid costs over its runs alone, what two jobs gain, and what kills repeat."""
    found = results("compare")
    alone, jobs, kill = found["overhead"], found["jobs"], found["kill"]
    assert kill["each_rollout_once"]
    assert kill["equal_to_the_bit"]
    return (
        f"A cell of {alone['rollouts']} rollouts takes {1 + alone['overhead']:.2f} times the time of a `stiefel train` "
        f"of its own, which imports all again; {jobs['cells']} cells of {jobs['rollouts']} rollouts are done "
        f"{jobs['gain']:.2f} times as fast two at a time as one; a grid with a checkpoint after every rollout, whose "
        f"driver and workers were killed {kill['kills']} times, kept each rollout once and ended in the bits of one "
        f"that was left alone. nano, {found['machine']['device']}, "
        f"{found['machine']['cores']} cores: `python -m benchmarks.compare`.\n"
    )


def each(values: dict[str, float], form: str) -> str:
    """`rlpo: 14, pissa: 25`."""
    return ", ".join(f"{name}: {value:{form}}" for name, value in values.items())


def init_table() -> str:
    """What `stiefel init` costs, against what, and what the aim was."""
    found, whole = results("init"), results("init-7b")
    command, peft, memory = found["command"], found["peft"], found["memory"]
    peaks = {depth: max(methods.values()) for depth, methods in memory["above_torch_mb"].items()}
    direct, net = command["direct_seconds"], command["net_seconds"]
    rows = [
        (
            f"times as fast as reading and one full SVD of each matrix, {found['layers']} layers",
            each({method: direct["one"] / seconds for method, seconds in net.items()}, ".1f"),
            "10, 10, 4, 3",
        ),
        (
            "geora: times as fast as its direct way, which is reading, two full SVDs and two sorts of each matrix",
            f"{direct['two'] / net['geora']:.1f}",
            "",
        ),
        (
            "the command's time, in times that of reading all and one product with (n × 32)",
            each(command["multiple_of_the_limit"], ".0f"),
            "",
        ),
        (
            '`attach(model, "pissa")`, in times PEFT\'s `pissa_niter_4` takes',
            f"{peft['ratio']:.2f}; energy {peft['stiefel_worst_energy']:.4f} against {peft['peft_worst_energy']:.4f}",
            "≤ 1.5, ≥ 0.999",
        ),
        (
            "peak memory above torch's own, of rlpo and geora the larger, MiB",
            ", ".join(f"{depth} layers: {peak:.0f}" for depth, peak in peaks.items()),
            f"≤ {memory['bound_mb']:.0f}",
        ),
        ("a second method, times as fast as without the cache", f"{found['cache']['ratio']:.1f}", "5"),
        *(
            (
                f"Qwen2.5-7B's shapes, rank {whole['rank']}, {whole['layers']} layers: {method}",
                f"{whole[method]['minutes']:.1f} min, {whole[method]['peak_gib']:.2f} GiB",
                aim,
            )
            for method, aim in (("rlpo", "3.5 min, 2 GiB"), ("rlmo", ""))
        ),
    ]
    for over, times in found.get("growth", {}).items():
        first = next(iter(times))
        for method in times[first]:
            grown = {size: by_method[method] / times[first][method] for size, by_method in times.items()}
            rows.append((f"{method}: time by {over}, in times that of {over} {first}", each(grown, ".1f"), ""))
    lines = ["| `stiefel init`, rank 16 | measured | our aim |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    machine = found["machine"]
    where = f"{machine['device']}, {machine['cores']} cores"
    said = (
        "In the first three rows the command's start-up is taken off, 7B's are of whole commands; `attach`, a second "
        "method and what time grows with are of a running process"
    )
    return "\n".join(lines) + f"\n\n{said}. {where}: `python -m benchmarks.init`, and with `--seven-b`.\n"


def interval(found: dict[str, Any]) -> str:
    """`1.030 [0.985, 1.075] of 98 pairs`."""
    low, high = found["total_interval"]
    return f"{found['total']:.3f} [{low:.3f}, {high:.3f}], {found['pairs']} pairs"


def step_table() -> str:
    """What a step of training costs beside bare TRL's, and what twenty kills of a run leave of it."""
    found, kills = results("train"), results("kills")
    memory = found["memory"]
    tensors, frozen = memory["tensor_bytes"], memory["frozen_factor_bytes"]
    resident = {kind: median(peaks) / 2**20 for kind, peaks in memory["resident_bytes"].items()}
    over = [resident["pissa"] - resident[kind] for kind in ("rlpo", "lora")]
    same = [name for name in ("weights", "metrics", "samples") if kills[f"{name}_equal"]]
    rows = [
        ("ours with all live metrics, plain LoRA, over TRL's", interval(found["trl_lora_to_ours"]), "≤ 1.05"),
        *(
            (f"anchored `{method}` over LoRA of the same rank", interval(found[f"lora_to_{method}"]), "≤ 1.10")
            for method in ("pissa", "geora")
        ),
        (
            "peak of all tensors' bytes in an anchored run, over a LoRA's",
            f"{tensors['pissa'] - tensors['lora']:+,}; the frozen factors {frozen:,}",
            "≤ the frozen factors",
        ),
        (
            "peak resident memory of an anchored run, MiB",
            f"{over[0]:+.1f} over `rlpo`, {over[1]:+.1f} over `lora`, which solves nothing, of {resident['lora']:.0f}",
            "",
        ),
        (
            f"{kills['kills']} kills of one run at random moments, each resumed",
            f"{', '.join(same)} equal those of a run left alone",
            "all, to the bit",
        ),
    ]
    lines = ["| a rollout on nano | measured [95%] | needed |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    machine = found["machine"]
    where = f"Processor time of whole rollouts taken in turns, {machine['device']}, {machine['cores']} cores"
    return "\n".join(lines) + f"\n\n{where}: `python -m benchmarks.train`, `python -m benchmarks.kills`.\n"


def survival_sentence() -> str:
    """Why vLLM is sent factors and not merged weights, in a sentence."""
    found = results("engine")["survival"]["0.0001"]
    worst = min(values["survival"] for name, values in found.items() if name != "merged")
    return (
        "Where vLLM writes the rollouts it is sent the factors and not merged weights, because of an update of size "
        f"‖ΔW‖/‖W‖ = 1e-4 on nano a bfloat16 engine has {worst:.2%} where it is sent the factors (the worst of "
        f"{len(found) - 1} starts, read from the tensors in vLLM's CPU build) and {found['merged']['survival']:.0%} "
        "where it is sent merged weights (of RLPO, as bfloat16 rounds them): `.venv-vllm/bin/python -m "
        "benchmarks.engine`, [docs/cluster.md](docs/cluster.md#vllm).\n"
    )


def survival_table() -> str:
    """How much of an update a bf16 engine plays, by its size and by how it is sent."""
    found = results("engine")
    rows = []
    for size, by_method in found["survival"].items():
        sent = {name: values for name, values in by_method.items() if name != "merged"}
        least, most = min(v["survival"] for v in sent.values()), max(v["error"] for v in sent.values())
        merged = by_method["merged"]
        rows.append(f"| {float(size):g} | {least:.4f}, {most:.4f} | {merged['survival']:.2f}, {merged['error']:.2f} |")
    sizes = found["bytes"]
    times, anchored = sizes["times_fewer"], sizes["times_fewer_anchored"]
    fewer = f"{times:.0f} times fewer bytes than merged weights, {anchored:.0f} anchored"
    lines = ["| ‖ΔW‖/‖W‖ | factors: survival, error | merged: survival, error |", "|---:|---:|---:|", *rows]
    return (
        "\n".join(lines)
        + f"\n\nnano in bfloat16. Factors: the worst of {len(sent)} starts, read from the tensors in vLLM; merged: an "
        + "update of RLPO, as the weights are rounded that would be sent. At Qwen2.5-1.5B's shapes and rank 16 "
        + f"factors are {fewer}.\n\n{learning_sentence(found)} {speed_sentence(found)} "
        + "All by `.venv-vllm/bin/python -m benchmarks.engine`.\n"
    )


def learning_sentence(found: dict[str, Any]) -> str:
    """What nano learns by each engine, and how far the engine's probabilities were from the trainer's."""
    said = []
    for engine in ("vllm", "hf"):
        one = found["learning"][engine]
        low, high = one["interval"]
        said.append(f"{one['mean']:.3f} ({low:.3f} to {high:.3f}) by `{engine}`")
    mismatch = found["learning"]["vllm"]["largest_mismatch"]
    return (
        f"recipes/nano/dapo.toml, three seeds, the reward of the last 15 rollouts with its 95% interval: "
        f"{' and '.join(said)}; `engine_mismatch` was at most {mismatch:.1e} at every rollout."
    )


def speed_sentence(found: dict[str, Any]) -> str:
    """Tokens a second of vLLM over transformers."""
    times = found["speed"]["ratio"]
    what = "32 completions of 64 tokens of SmolLM2-135M"
    return f"On a CPU vLLM writes {what} {times:.1f} times as fast as transformers."
