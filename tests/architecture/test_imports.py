"""The package tells its story in one direction, in short files, without the shapes that hide things."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import stiefel

ROOT = Path(stiefel.__file__).parent
# low to high; modules of one line may not import each other, but a package's own modules may
LAYERS = (
    {"errors"},
    {"artifacts", "quiet", "progress", "memory", "files", "matrix_names"},
    {"nano", "sections"},
    {"recipe"},
    {"tensorfile", "skeleton", "linalg", "grid"},
    {"weights", "checkpoint"},
    {"solver", "cache"},
    {"spectrum"},
    {"methods"},
    {"anchored", "frozen", "own_weights", "certificate"},
    {"start", "standing"},
    {"wrap"},
    {"adapter"},
    {"saved", "streamed"},
    {"verify"},
    {"export", "geometry"},
    {"rewards"},
    {"tasks"},
    {"scores"},
    {"evaluate"},
    {"training"},
    {"compare", "preflight"},
    {"report"},
    {"cli"},
    {"__main__"},
)
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def layer_of(path: Path) -> str:
    """The first word under `stiefel`: a module's name or its package's."""
    return path.parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The layers that a module imports, at its top, in functions and under TYPE_CHECKING."""
    package = ("stiefel", *path.parent.parts)
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # `from . import x` names modules, `from .x import y` names what is in one
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "stiefel" else [module]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("stiefel.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_go_one_way(path):
    here = layer_of(path)
    assert here in HEIGHT, f"{here} has no place in the story: add it to LAYERS"
    upward = [name for name in imported(path) - {here} if HEIGHT.get(name, len(LAYERS)) >= HEIGHT[here]]
    assert upward == [], f"{path} imports what comes after it, or beside it"


def test_the_parser_sees_every_kind_of_import():
    assert {"recipe", "adapter", "methods"} <= imported(Path("training/run.py"))
    assert "errors" in imported(Path("weights.py"))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_file_is_too_long_or_says_nothing_by_its_name(path):
    assert len((ROOT / path).read_text().splitlines()) <= 400
    assert not {"utils", "util", "common", "helpers", "helper", "misc"} & set(path.with_suffix("").parts)


def is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_pickles_no_remote_code_no_bare_except(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"pickle", "dill", "cloudpickle", "joblib", "shelve"}
        elif isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
        elif isinstance(node, ast.Call):
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            assert not is_true(keywords.get("trust_remote_code", ast.Constant(False))), f"line {node.lineno}"
            if ast.unparse(node.func) == "torch.load":
                assert is_true(keywords.get("weights_only", ast.Constant(False))), f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_says_in_a_line_what_it_is(path):
    assert (ast.get_docstring(tree(path)) or "").strip()
