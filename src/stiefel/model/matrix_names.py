"""What a module's name says: its place in the layer, and the layer's number."""

from __future__ import annotations


def kind_and_depth(name: str) -> tuple[str, int | None]:
    """`model.layers.3.self_attn.q_proj` → (`self_attn.q_proj`, 3); further numbers, of experts, become *."""
    words = name.split(".")
    place = next((i for i, word in enumerate(words) if word.isdigit()), None)
    if place is None:
        return words[-1], None
    kind = ".".join("*" if word.isdigit() else word for word in words[place + 1 :])
    return kind, int(words[place])
