"""The optional packages, none of which is imported."""

from __future__ import annotations

from ..engine import require_vllm, vllm_version
from ..errors import UserError
from ..verl import trouble, verl_version
from .finding import Finding
from .packages import installed, own_requirements, trouble_with


def vllm() -> Finding:
    """vLLM, of a version that was tried."""
    try:
        require_vllm('rollout.engine = "vllm"', "do without")
    except UserError as error:
        return Finding("vLLM", "absent", error.what, error.instead)
    return Finding("vLLM", "works", vllm_version())


def extra(shown: str, package: str, name: str, use: str) -> Finding:
    """What an extra of ours installs, and what for."""
    wrong = [words for words in map(trouble_with, own_requirements(name) or [package]) if words]
    if wrong:
        return Finding(shown, "absent", wrong[0], f'pip install "stiefel[{name}]" {use}')
    return Finding(shown, "works", installed(package))


def ray() -> Finding:
    """Ray."""
    return extra("Ray", "ray", "ray", "for stiefel compare --backend ray")


def reasoning_gym() -> Finding:
    """The package reasoning-gym."""
    return extra("reasoning-gym", "reasoning-gym", "gym", "for tasks named reasoning_gym:NAME")


def lm_eval() -> Finding:
    """lm-eval."""
    return extra("lm-eval", "lm-eval", "lm-eval", "for stiefel eval --task lm-eval:NAME and ifeval")


def optuna() -> Finding:
    """Optuna."""
    return extra("Optuna", "optuna", "choose", "for stiefel choose")


def verl() -> Finding:
    """The verl that was tried."""
    found = verl_version()
    if wrong := trouble(found):
        return Finding("verl", "absent", wrong, "an environment of its own has it: docs/verl.md")
    return Finding("verl", "works", found)
