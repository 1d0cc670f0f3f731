"""The package tells its story in one direction, in short files, without the shapes that hide things."""

from __future__ import annotations

import ast
import itertools
import re
import statistics
from functools import cache
from pathlib import Path

import pytest

import stiefel

ROOT = Path(stiefel.__file__).parent
TESTS = Path(__file__).parents[1]
GROUND = {"errors", "own_code", "artifacts", "alone", "quiet", "progress", "memory", "scores", "shipped"}
# The story from its first stage to its last: a room → the rooms that it may import, all of them before it.
ROOMS = {
    "nano": (),
    "recipe": (),
    "model": ("nano",),
    "spectrum": (),
    "methods": ("model", "spectrum"),
    "adapter": ("model", "spectrum", "methods"),
    "contract": ("spectrum", "methods", "adapter"),
    "rewards": (),
    "tasks": ("nano", "recipe", "rewards"),
    "geometry": ("model", "spectrum", "methods", "adapter"),
    "engine": ("model", "adapter"),
    "evaluation": ("model", "adapter", "engine", "rewards", "tasks"),
    "training": ("recipe", "model", "methods", "adapter", "engine", "rewards", "tasks"),
    "run": ("recipe", "model", "methods", "adapter", "tasks", "geometry", "engine", "evaluation", "training"),
    "report": ("recipe", "model", "adapter", "geometry"),
    "foresight": (
        *("recipe", "model", "spectrum", "methods", "adapter", "engine"),
        *("tasks", "geometry", "training", "run"),
    ),
    "comparison": ("recipe", "model", "run", "foresight"),
    "choice": ("recipe", "run", "comparison"),
    "reproduction": ("recipe", "adapter", "engine", "rewards", "tasks", "run", "report", "foresight", "comparison"),
    "verl": ("nano", "recipe", "model", "methods", "adapter", "engine", "rewards", "tasks", "training", "run"),
    "installation": ("spectrum", "rewards", "engine", "verl"),
    "cli": (
        *("nano", "recipe", "methods", "spectrum", "adapter", "contract", "rewards", "tasks"),
        *("geometry", "engine", "evaluation", "run", "report", "foresight", "comparison", "choice", "reproduction"),
        *("verl", "installation"),
    ),
}
FRONT = {
    "__main__": ("cli",),
    "commands": ("recipe", "adapter", "evaluation", "run", "report", "foresight", "comparison"),
    "__init__": ("adapter", "commands", "geometry", "methods", "training"),
}
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
DOORS = sorted(path.relative_to(ROOT) for path in ROOT.rglob("__init__.pyi"))
SIZES = {path: len((ROOT / path).read_text().splitlines()) for path in MODULES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def room_of(path: Path) -> str:
    """The first word under `stiefel`: a room's name or that of a file on the ground."""
    return path.parts[0].removesuffix(path.suffix)


def imported(path: Path) -> set[str]:
    """The modules of ours that a file imports, after `stiefel.`: at its top, in functions, by name, as a process."""
    return imports_in(tree(path), ("stiefel", *path.parent.parts))


def imports_in(module: ast.Module, package: tuple[str, ...]) -> set[str]:
    """The same of a file's text in that package."""
    found = set()
    for node in ast.walk(module):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            named = ".".join(part for part in (base, node.module) if part)
            # `from . import x` names modules, `from .x import y` names what is in one
            names = [f"{named}.{alias.name}" for alias in node.names] if named == "stiefel" else [named]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_NAME:
            names = [absolute(text_of(given), package) for given in named_first(node)]
        elif isinstance(node, ast.List | ast.Tuple):  # a command: python -m MODULE
            words = [text_of(word) for word in node.elts]
            names = [after for word, after in itertools.pairwise(words) if word == "-m"]
        found |= {name.removeprefix("stiefel.") for name in names if name.startswith("stiefel.")}
    return found


BY_NAME = {"import_module", "__import__", "find_spec", "run_module"}


def named_first(call: ast.Call) -> list[ast.expr]:
    """What a call is given first, by its place or as `name`."""
    return [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg in ("name", "mod_name"))]


def text_of(node: ast.expr) -> str:
    """A text as it is written, of one that is put together what it begins with."""
    if isinstance(node, ast.JoinedStr):
        return text_of(node.values[0]) if node.values else ""
    if isinstance(node, ast.BinOp):
        return text_of(node.left)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def absolute(name: str, package: tuple[str, ...]) -> str:
    """`..x` in a package → the module's whole name."""
    level = len(name) - len(name.lstrip("."))
    return ".".join([*package[: len(package) - level + 1], name.lstrip(".")]) if level else name


def test_the_table_is_in_the_order_of_the_story():
    names = list(ROOMS)
    for room, others in ROOMS.items():
        assert [other for other in others if names.index(other) >= names.index(room)] == [], room
    assert {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(names)


@pytest.mark.parametrize("path", [*MODULES, *DOORS], ids=str)
def test_a_room_imports_only_rooms_before_it_and_only_through_their_doors(path):
    here = room_of(path)
    allowed = {**ROOMS, **FRONT, **dict.fromkeys(GROUND, ())}[here]
    for name in imported(path):
        room, _, file = name.partition(".")
        if room == here:
            continue
        assert name != "stiefel", f"{path} imports all of stiefel"
        assert room in allowed or (room in GROUND and (here != "errors")), f"{here} imports {name}"
        assert not file, f"{path} reaches past the door of {room} for {file}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_name_from_a_room_is_one_of_its_files(path):
    """`from ..adapter import saved` would hand on a file: a name that is also a file's must be on the door."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.level and node.module in ROOMS:
            door = Path(node.module, "__init__.pyi")
            door = door if (ROOT / door).is_file() else door.with_suffix(".py")
            handed = {
                alias.asname or alias.name
                for n in ast.walk(tree(door))
                if isinstance(n, ast.ImportFrom)
                for alias in n.names
            }
            for alias in node.names:
                assert alias.name in handed or not (ROOT / node.module / f"{alias.name}.py").is_file(), alias.name


@pytest.mark.parametrize("room", ROOMS)
def test_tests_mirror_the_rooms(room):
    assert list((TESTS / room).rglob("test_*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_is_allowed_that_nobody_needs(room):
    needed = {name for path in MODULES if room_of(path) == room for name in imported(path)}
    assert [other for other in ROOMS[room] if other not in needed] == []


def test_the_parser_sees_every_kind_of_import():
    assert {"recipe", "adapter", "methods"} <= imported(Path("run/loading.py"))
    assert "errors" in imported(Path("artifacts.py"))
    assert "evaluation" in imported(Path("cli/evaluation.py"))  # in a function
    assert "rewards.worker" in imported(Path("rewards/pool.py"))  # as a process


BY_A_NAME = {
    'import_module("stiefel.run")': {"run"},
    'importlib.import_module("stiefel.run.attempt")': {"run.attempt"},
    'import_module("..run", __package__)': {"run"},
    'importlib.import_module(name="stiefel.run")': {"run"},
    'import_module(f"stiefel.run.{file}")': {"run."},
    'import_module("stiefel." + room)': {""},  # of any room: none is allowed to be
    'find_spec("stiefel.run")': {"run"},
    '__import__("stiefel.run")': {"run"},
    'runpy.run_module("stiefel.run")': {"run"},
    'subprocess.run([sys.executable, "-m", "stiefel.run"])': {"run"},
    'subprocess.run((sys.executable, "-m", "stiefel.run", "x"))': {"run"},
    'import_module("numpy")': set(),
    "import_module(name)": set(),
}


@pytest.mark.parametrize("text", BY_A_NAME)
def test_the_parser_sees_modules_that_are_imported_by_name(text):
    assert imports_in(ast.parse(f"def late():\n    return {text}\n"), ("stiefel", "cli")) == BY_A_NAME[text]


def test_the_ground_holds_few_files():
    assert len(list(ROOT.glob("*.py"))) <= 13
    assert {room_of(path) for path in MODULES if len(path.parts) == 1} == GROUND | set(FRONT)


def test_files_are_short():
    assert max(SIZES.values()) <= 400
    assert statistics.median(SIZES.values()) <= 100


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_goes_in_what_comes_out_and_what_to_open_first(room):
    text = ast.get_docstring(tree(Path(room, "__init__.py"))) or ""
    first, _, second = text.partition("\n\n")
    assert re.search(r"\bin\b", first + second), "what goes in"
    assert re.search(r"\bout\b", first + second), "what comes out"
    named = re.findall(r"[\w/]+\.py\b", second)
    assert named, "which file to open first"
    assert [name for name in named if not (ROOT / room / name).is_file()] == []


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_file_says_nothing_by_its_name(path):
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


@pytest.mark.parametrize("room", ROOMS)
def test_the_files_of_a_room_import_one_another_without_a_circle(room):
    """In functions too; a folder's `__init__` hands on what is below it and is left out."""
    files = {".".join(path.with_suffix("").parts): path for path in MODULES if room_of(path) == room}
    arrows = {
        name: {other for other in imported(path) & files.keys() if other != name}
        for name, path in files.items()
        if path.name != "__init__.py"
    }
    while free := [name for name, others in arrows.items() if not others & arrows.keys()]:
        for name in free:
            del arrows[name]
    assert arrows == {}
