"""A reward that differs between almost any two completions, so that the first rollout already has a gradient."""


def distinct(completion: str, answer: str, **row: object) -> float:
    """The share of distinct characters."""
    return len(set(completion)) / max(len(completion), 1)
