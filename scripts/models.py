"""Which architectures work, from the kept results: `python -m scripts.models` writes the tables of docs/models.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.families import FAMILIES, GROUPS
from scripts.readme import replace_block
from scripts.results import results
from scripts.tasks import as_table

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
ALL = "all-linear"
HELD = ("certified", "every factor learns", "the base stays", "PEFT plays it", "it is loaded again")
HELD += ("TRL scores what is played",)
VLLM = {"LoRA": "LoRA", "transformers": "LoRA, by transformers", "whole": "merged", "": "–"}
SEVEN = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
TESTED = ("qwen3", "llama")  # by tests/vllm, with nano and SmolLM2


def verdict(found: dict[str, Any]) -> str:
    """Of one family: yes where everything holds with "all-linear", by name, in part, or no."""
    if "exact" not in found:
        return "no"
    whole = all(found[key] for key in HELD) and found["exact"] == ["float32", "bfloat16"]
    whole = whole and not found["merged"] and not found["trains"]
    if not whole:
        return "in part"
    return "by name" if "by name" in found else "**yes**"


def adapted(found: dict[str, Any]) -> dict[str, Any]:
    """What was selected: by name where "all-linear" is refused."""
    chosen: dict[str, Any] = found.get("by name", found[ALL])
    return chosen


def named(name: str, found: dict[str, Any]) -> str:
    """The layers that are adapted, as they are given by name, or as "all-linear" takes them."""
    words = FAMILIES[name].targets or adapted(found).get("layers", ())
    if set(words) == SEVEN:
        return "*the seven*"
    return ", ".join(f"`{word}`" for word in words) or "–"


def done(found: dict[str, Any], key: str) -> str:
    """Yes where there is nothing to say against it."""
    return "–" if key not in found else "no" if found[key] else "yes"


def served(name: str, found: dict[str, Any], kept: dict[str, Any]) -> str:
    """How vLLM has it, by its sources; refused where its class is not the one that is trained."""
    if "exact" not in found or not found["vLLM is sent factors"]:
        return "–"
    if found["class"] != found["named"]:
        return "refused"
    return VLLM[kept["vllm"]["takes"][name]] + (" (run)" if name in TESTED else "")


def families(kept: dict[str, Any]) -> str:
    """A table a group."""
    heads = ("`model_type`", "for example", "works", "layers", "`stiefel train`", "merged", "vLLM")
    parts = []
    for title, group in GROUPS.items():
        rows = []
        for name in group:
            found = kept["families"][name]
            rows.append(
                (
                    f"`{name}`",
                    FAMILIES[name].models,
                    verdict(found),
                    named(name, found),
                    done(found, "trains"),
                    done(found, "merged"),
                    served(name, found, kept),
                )
            )
        parts.append(f"### {title}\n\n{as_table(heads, rows)}")
    return "\n".join(parts) + f"\n{versions(kept)}\n"


def versions(kept: dict[str, Any]) -> str:
    """Of what it was measured with."""
    found = kept["machine"]["versions"]
    counts = [verdict(each) for each in kept["families"].values()]
    return (
        f"{len(counts)} families, {counts.count('**yes**')} with `{ALL}`, {counts.count('by name')} by name, "
        f"{counts.count('in part')} in part, {counts.count('no')} not; transformers {found['transformers']}, "
        f"PEFT {found['peft']}, TRL {found['trl']}, on a CPU; the last column from the sources of vLLM "
        f"{kept['vllm']['version']}: `python -m benchmarks.models`."
    )


def remarks(found: dict[str, Any]) -> Iterator[str]:
    """What is said of a family, wherever something is: at "all-linear", and where a step after it is refused."""
    chosen = found[ALL]
    if "refused" in chosen:
        yield f"refused: {chosen['refused']}; instead: {chosen['instead']}"
    for each in (chosen, found.get("by name", {})):
        yield from filter(None, each.get("left_out", "").split("; "))
    for verb, key in (("`stiefel train`", "trains"), ("`stiefel export --as merged`", "merged")):
        if found.get(key):
            yield f"refused by {verb}: {found[key]}"


def said(kept: dict[str, Any]) -> str:
    """Every message once, with the families that it is given for."""
    together: dict[str, list[str]] = {}
    for name, found in kept["families"].items():
        for line in dict.fromkeys(remarks(found)):
            together.setdefault(generic(line, name), []).append(f"`{name}`")
    rows = [(", ".join(names), line.replace("|", r"\|")) for line, names in together.items()]
    return as_table(("`model_type`", "what is said"), rows)


def generic(line: str, name: str) -> str:
    """A message without what is the tiny model's own: counts, shares, the first place."""
    for pattern, put in (
        (r"the first is [\w.]+\w", "the first is …"),
        (r"\b\d+%", "…%"),
        (r"\b\d+ (bare|layers)", r"… \1"),
        (r": \w+ reads its weight", ": … reads its weight"),
        (rf"\({name}\)", "(…)"),
    ):
        line = re.sub(pattern, put, line)
    return line


def numbers(kept: dict[str, Any]) -> str:
    """What becomes of each type of numbers."""
    rows = [
        (f"`{name}`", "made, certified, verified" if not line else f"refused: {line}")
        for name, line in kept["numbers"].items()
    ]
    return as_table(("numbers", "`stiefel init`"), rows)


def page() -> str:
    """docs/models.md as it should be."""
    kept = results("models")
    text = replace_block(PAGE.read_text(), "families", families(kept))
    text = replace_block(text, "said", said(kept))
    return replace_block(text, "numbers", numbers(kept))


def write() -> None:
    """docs/models.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
