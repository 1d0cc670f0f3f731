"""A start of one's own: used by its name wherever a method's name is taken, and imported only where a user says it."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import pytest
import torch

from stiefel import UserError, attach, load, save
from stiefel.adapter import prepare, verify
from stiefel.adapter.attached import certificate_of
from stiefel.cli import main
from stiefel.contract import check_method
from stiefel.contract.claims import broken_claims
from stiefel.methods import STARTS, compose
from stiefel.nano import NANO_PATH

NUMBERS = itertools.count()
HEAD = "import torch\nimport stiefel\nfrom stiefel import Claims, Factors, Layer, method\n"
RANDOM = """
@method(claims=Claims(b_zero=True, seeded=True))
def start(layer: Layer) -> Factors:
    \"\"\"A Gaussian, B = 0.\"\"\"
    return Factors(torch.randn(layer.rank, layer.in_features, generator=layer.generator()), layer.zero_b())
"""
ANCHORED = """
@method(claims=Claims(subspace="top"), needs="top")
def start(layer: Layer) -> Factors:
    \"\"\"B₀ = U_r, A₀ = V_rᵀ.\"\"\"
    top = layer.spectrum.top(layer.rank)
    return Factors(A=top.Vh, B=top.U)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """own(source): `module:start` of a module with that source in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source: str) -> str:
        name = f"own_start_{next(NUMBERS)}"
        Path(f"{name}.py").write_text(HEAD + source)
        return f"{name}:start"

    return write


def forget(name: str) -> None:
    """Take a module away, file and all, so that whoever imports it fails."""
    module = name.partition(":")[0]
    sys.modules.pop(module, None)
    Path(f"{module}.py").unlink()


@pytest.mark.parametrize("source", [RANDOM, ANCHORED], ids=["b_zero", "anchored"])
@pytest.mark.parametrize("changes", ["", "+dora", "+rslora+lora_plus"])
def test_it_starts_at_the_base_and_comes_back_without_its_module(source, changes, own, make_model, logits, take_steps):
    name = own(source)
    model = make_model(torch.bfloat16)
    base = logits(model)
    adapted = attach(model, name + changes, r=4, alpha=8)
    assert torch.equal(logits(adapted), base)
    assert certificate_of(adapted).method == compose(name + changes).name
    assert certificate_of(adapted).method.startswith(name)
    take_steps(adapted)
    save(adapted, "saved")
    forget(name)
    again = load(make_model(torch.bfloat16), "saved")
    assert torch.equal(logits(again), logits(adapted))


def test_an_option_of_its_own_is_recorded_and_comes_back(own, make_model):
    source = RANDOM.replace("seeded=True)", "seeded=True), options={'gain': stiefel.methods.Fraction(0.5, 'a gain')}")
    name = own(source.replace("layer.zero_b())", "layer.zero_b(), {'gain': layer.fraction('gain')})"))
    adapted = attach(make_model(), name, r=4, gain="0.25")
    assert certificate_of(adapted).options == {"gain": 0.25}
    save(adapted, "saved")
    forget(name)
    assert certificate_of(load(make_model(), "saved")).options == {"gain": 0.25}


def test_verify_imports_it_only_where_it_is_named_again(own, capsys):
    name = own(RANDOM)
    prepare("nano", name, Path("out"), r=4)
    assert main_status(["verify", "out", "--base", "nano", "--method", name]) == 0
    assert f"28 drawn again by {name}" in capsys.readouterr().err
    forget(name)
    assert main_status(["verify", "out", "--base", "nano"]) == 0
    assert "is imported only where --method names it" in capsys.readouterr().err
    assert main_status(["verify", "out", "--base", "nano", "--method", name]) == 2
    assert "cannot be imported" in capsys.readouterr().err


def test_a_start_that_its_module_does_not_draw_is_found(own):
    name = own(RANDOM)
    prepare("nano", name, Path("out"), r=4)
    module = Path(f"{name.partition(':')[0]}.py")
    module.write_text(module.read_text().replace("torch.randn(", "2 * torch.randn("))
    sys.modules.pop(module.stem)
    assert all(check.holds for check in verify(Path("out"), "nano"))
    wrong = [check for check in verify(Path("out"), "nano", method=name) if not check.holds]
    assert len(wrong) == 28
    assert "A₀ is not what the method draws" in wrong[0].detail


@pytest.mark.parametrize("name", ["rlpo", "pissa", "gaussian"])
def test_a_start_of_the_table_can_be_drawn_again_too(name, tmp_path):
    prepare("nano", name, tmp_path / "out", r=4, cache=False)
    checks = verify(tmp_path / "out", "nano", method=name)
    assert all(check.holds for check in checks)
    assert checks[-1].detail == f"28 drawn again by {name}"
    with pytest.raises(UserError, match=f"its certificate says {name}"):
        verify(tmp_path / "out", "nano", method="rlmo")


def main_status(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return int(exit_.value.code or 0)


def test_loading_never_imports_what_a_certificate_names(own, make_model):
    """A forged name is no way to run code: the module would write a file."""
    name = own(RANDOM)
    save(attach(make_model(), name, r=4), "saved")
    forget(name)
    Path("trap.py").write_text("open('sprung', 'w').close()\n")
    text = Path("saved/stiefel.json").read_text().replace(name, "trap:start")
    Path("saved/stiefel.json").write_text(text)
    assert certificate_of(load(make_model(), "saved")).method == "trap:start"
    assert main_status(["verify", "saved", "--base", str(NANO_PATH)]) == 1  # of another model
    assert not Path("sprung").exists()


READERS = {
    "verify": ["verify", "saved", "--base", "nano"],
    "export": ["export", "saved", "--base", "nano", "--as", "merged", "--out", "merged"],
    "inspect": ["inspect", "saved", "--base", "nano"],
    "eval": ["eval", "nano", "--adapter", "saved", "--task", "nano-sort", "--limit", "2", "--out", "evaluated"],
}


@pytest.mark.parametrize("verb", READERS)
def test_no_verb_imports_what_a_certificate_names(verb, own):
    name = own(RANDOM)
    prepare("nano", name, Path("saved"), r=2, target_modules=["q_proj"])
    forget(name)
    Path("trap.py").write_text("open('sprung', 'w').close()\n")
    certificate = Path("saved/stiefel.json")
    certificate.write_text(certificate.read_text().replace(name, "trap:start"))
    assert main_status(READERS[verb]) == 0
    assert not Path("sprung").exists()


TROUBLE = {
    "returned a dict": ("return {}", "it returned a dict, not stiefel.Factors"),
    "shape of A": ("return Factors(torch.ones(1, 1), layer.zero_b())", r"A is \(1, 1\), where \(4, "),
    "shape of B": ("return Factors(torch.ones(layer.rank, layer.in_features), torch.ones(1))", r"B is \(1,\)"),
    "integers": ("return Factors(torch.ones(4, layer.in_features).int(), layer.zero_b())", "A is no tensor"),
    "not finite": ("return Factors(torch.full((4, layer.in_features), torch.inf), layer.zero_b())", "not finite"),
    "B is not 0": ("return Factors(torch.ones(4, layer.in_features), layer.zero_b() + 1)", "leave out b_zero"),
    "raised": ("return 1 / 0", r"ZeroDivisionError: division by zero \(own_start_\d+.py, line 8\)"),
}


@pytest.mark.parametrize("case", TROUBLE)
def test_what_is_no_start_is_refused_and_the_model_stays_as_it_was(case, own, make_model, logits):
    body, message = TROUBLE[case]
    lines = RANDOM.rstrip().splitlines()
    name = own("\n".join([*lines[:-1], f"    {body}", ""]))
    model = make_model()
    base = logits(model)
    with pytest.raises(UserError, match=message) as error:
        attach(model, name, r=4)
    assert f"({name.partition(':')[0]}.py, line " in str(error.value)
    assert torch.equal(logits(model), base)
    assert not [key for key, _ in model.named_parameters() if "lora" in key]


def test_a_start_that_takes_no_layer_is_told_where_it_stands(own, make_model):
    name = own(RANDOM.replace("layer: Layer", "").lstrip())
    with pytest.raises(UserError, match=r"takes 0 positional arguments but 1 was given \(own_start_\d+\.py, line 4\)"):
        attach(make_model(), name, r=4)


NAMES = {
    "no_such_module:start": "cannot be imported",
    "HERE:strat": "did you mean start",
    "HERE:plain": "it is a function, and a start is a function with a record",
    "HERE:dora": "it is a record of the kind structure",
    "HERE:": "unknown method",
    ":start": "unknown method",
    "a b:start": "unknown method",
    "HERE:start+ia3": "no factors A and B",
    "HERE:start+HERE:start": "there twice",
    "HERE:start+rlpo": "are two starts",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_start_is_refused(name, own, make_model):
    source = RANDOM + "\ndef plain(layer):\n    pass\n\nfrom stiefel.methods.structures import dora\n"
    module = own(source).partition(":")[0]
    with pytest.raises(UserError, match=NAMES[name]):
        attach(make_model(), name.replace("HERE", module), r=4)


def test_a_broken_module_is_named_with_its_line(own, make_model):
    with pytest.raises(UserError, match=r"SyntaxError: .*\(own_start_\d+\.py, line 5\)"):
        attach(make_model(), own("\ndef start(:\n"), r=4)


FALSE = {
    "a_orthonormal": ("seeded=True", "seeded=True, a_orthonormal=True"),
    "seeded": ("seeded=True", "seeded=False"),
    "b_zero": ("b_zero=True, ", ""),
    "subspace": ("seeded=True", "seeded=True, subspace='top'"),
    "a_row_norm": ("seeded=True", "seeded=True, a_row_norm=0.5"),
    "shape_only": ("seeded=True", "shape_only=True"),
    "record": ("seeded=True", "seeded=True, shape_only=True"),
}


@pytest.mark.parametrize("claim", FALSE)
def test_a_false_claim_is_found(claim, own):
    start = compose(own(RANDOM.replace(*FALSE[claim]))).start
    assert claim in dict(broken_claims(start))


@pytest.mark.parametrize("claims", ["matrix='W_Geo', subspace='top'", "base_unchanged=False"])
def test_a_claim_that_cannot_be_measured_is_refused(claims, own):
    """And not passed over as if it held."""
    start = compose(own(RANDOM.replace("seeded=True", f"seeded=True, {claims}"))).start
    assert "record" in dict(broken_claims(start))


def test_what_is_not_claimed_is_not_said_to_hold(own, capsys):
    float32 = RANDOM.replace("layer.generator())", "layer.generator(), dtype=torch.float32)")
    assert main_status(["methods", "--check", own(float32)]) == 0
    told = capsys.readouterr().out
    assert "-   a_orthonormal: not claimed" in told
    assert "9 of 9 checks hold" in told


@pytest.mark.parametrize("source", ["import sys\nsys.exit(0)\n", "raise SystemExit\n"])
def test_a_module_that_ends_the_process_is_an_error(source, own, make_model):
    with pytest.raises(UserError, match="cannot be imported"):
        attach(make_model(), own(source), r=4)


def test_a_start_that_ends_the_process_is_an_error(own, make_model):
    body = RANDOM.rstrip().splitlines()[:-1]
    with pytest.raises(UserError, match="SystemExit"):
        attach(make_model(), own("\n".join([*body, "    raise SystemExit(0)", ""])), r=4)


def test_a_start_without_a_definition_is_told_so(own, make_model):
    with pytest.raises(UserError, match="start has no docstring"):
        attach(make_model(), own("\n".join(line for line in RANDOM.splitlines() if '"""' not in line)), r=4)


def test_a_start_that_draws_from_the_global_state_is_found(own):
    name = own(RANDOM.replace(", generator=layer.generator()", ""))
    broken = {check.name: check.detail for check in check_method(name) if not check.holds}
    assert broken.keys() >= {"seeded", "its seed alone"}
    assert "draw from layer.generator()" in broken["its seed alone"]


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.name)
def test_every_start_of_the_table_keeps_what_it_claims(start):
    assert dict(broken_claims(start)) == {}


@pytest.mark.parametrize("name", ["lora", "geora"])
def test_a_start_of_the_table_keeps_the_contract(name):
    assert [check for check in check_method(name) if not check.holds] == []


def test_an_anchored_one_keeps_what_it_claims(own):
    assert [check for check in check_method(own(ANCHORED)) if not check.holds] == []


@pytest.mark.parametrize("name", ["rlpo+dora", "ia3", "full", "lora_plus"])
def test_what_is_no_start_by_itself_has_no_claims_to_check(name):
    with pytest.raises(UserError, match="no start by itself"):
        check_method(name)


EXAMPLE = Path(__file__).parents[2] / "examples" / "own_start.py"
TINY = ("rollout.prompts=2", "rollout.completions=4", "optim.rollouts=2", "eval.limit=4", "adapter.rank=2")


def command(monkeypatch, *arguments: str) -> int:
    """The status of `stiefel …` as the installed script runs it, whose sys.path lacks the working directory."""
    sys.modules.pop("own_start", None)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(Path.cwd()))])
    return main_status(list(arguments))


def test_the_example_runs_in_every_command_that_takes_a_method(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("own_start.py").write_text(EXAMPLE.read_text())
    name = "own_start:sketch"
    assert command(monkeypatch, "methods", "--check", name) == 0
    assert command(monkeypatch, "init", "nano", "--method", name, "--rank", "4", "--out", "adapter") == 0
    assert json.loads(Path("adapter/stiefel.json").read_text())["method"] == name
    sets = [part for setting in (*TINY, f"adapter.method={name}") for part in ("--set", setting)]
    recipe = str(EXAMPLE.parents[1] / "recipes" / "nano" / "dapo.toml")
    assert command(monkeypatch, "train", recipe, *sets, "--out", "run") == 0
    assert json.loads(Path("run/adapter/stiefel.json").read_text())["method"] == name
    capsys.readouterr()
    assert command(monkeypatch, "preflight", "run/recipe.toml", "--methods", f"lora,{name}", "--json") == 0
    assert name in capsys.readouterr().out
    Path("grid.toml").write_text(f'recipe = "run/recipe.toml"\n[axes]\n"adapter.method" = ["{name}"]\n')
    assert command(monkeypatch, "compare", "grid.toml", "--out", "compared") == 0  # in a process of its own
    certificate = Path("compared/runs/own_start_sketch/adapter/stiefel.json")
    assert json.loads(certificate.read_text())["method"] == name
    assert command(monkeypatch, "cite", name) == 2
    assert "names no paper" in capsys.readouterr().err
