"""The papers' figures: what they draw is what the runs' own files say."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from stiefel.cli import cli
from stiefel.report import write_report
from stiefel.report.evidence import Evidence, read_evidence
from stiefel.report.figures import FIGURES, Drawing, Missing, write_figures
from stiefel.report.figures.aligned import depths, depths_from_one
from stiefel.report.figures.drawing import COLUMN, LETTER, PAGE
from stiefel.report.runs import read_runs

from .conftest import OTHER, TASK, Maker
from .weights import DEPTHS, KINDS, RANK, add_geometry, add_inspection

SIX_DIGITS = 1e-5  # charts keep six significant digits
UNFINISHED = "KL of a rollout without its last update to the policy before it"
SFT = ["algorithm.name=sft", "algorithm.batch=4"]


def unheard(line: str) -> None:
    raise AssertionError(f"nothing is to be measured or said here: {line}")


def evidence_of(directory: Path, comparison: Path | None = None) -> Evidence:
    return read_evidence(read_runs(directory), unheard, comparison=comparison)


def draw(name: str, directory: Path, comparison: Path | None = None) -> Drawing:
    found = next(figure for figure in FIGURES if figure.name == name).draw(evidence_of(directory, comparison))
    assert isinstance(found, Drawing), found
    return found


def panel(drawing: Drawing, title: str) -> dict[tuple[str, Any], dict[str, Any]]:
    """(series, x) → row, read from the panel's Vega-Lite."""
    charts = dict(zip([one.title for one in drawing.panels], drawing.on_page(), strict=True))
    (rows,) = [rows for rows in charts[title].to_dict()["datasets"].values() if "seeds" in rows[0]]
    return {(row["series"], row["x"]): row for row in rows}


def close(expected: float) -> Any:
    return pytest.approx(expected, rel=SIX_DIGITS)


def test_figure_2_is_what_the_metrics_say(make: Maker) -> None:
    rewards = {0: [0.1, 0.3, 0.5, 0.2, 0.4, 0.9], 1: [0.2, 0.2, 0.6, 0.6, 0.1, 0.3]}
    kls = {0: [1e-4, 2e-4, 5e-3, 1e-3, 0.0, 2e-2], 1: [3e-4, 2e-4, 1e-3, 3e-3, 1e-5, 4e-2]}
    for method in ("pissa", "lora", "rlpo"):
        for seed in (0, 1):
            make.run(method, seed=seed, rewards=rewards[seed], metrics={"kl_rollout": kls[seed]})
    drawing = draw("figure-02-dynamics", make.root)
    assert [one.title for one in drawing.panels] == ["Reward", "Gradient norm", UNFINISHED]
    reward, kl = panel(drawing, "Reward"), panel(drawing, UNFINISHED)
    assert {series for series, _ in reward} == {"lora", "pissa"}, "the paper's methods, where two of them are there"
    last = [fmean(values[-5:]) for values in rewards.values()]
    row = reward["pissa", 6]
    assert (row["value"], row["low"], row["high"]) == (close(fmean(last)), close(min(last)), close(max(last)))
    assert kl["lora", 3]["value"] == close((5e-3 + 1e-3) / 2)
    assert "Mean over 2 seeds" in drawing.caption


def test_one_update_a_rollout_has_the_kl_of_its_step_alone(make: Maker) -> None:
    make.run("lora", metrics={"kl_rollout": [0.0] * 6, "kl_step": [None, 0.5, None, None, None, 0.25]},
             changes=["optim.updates_per_rollout=1"])  # fmt: skip
    kl = panel(draw("figure-02-dynamics", make.root), "KL of a rollout to the policy before it")
    assert {x: row["value"] for (_, x), row in kl.items()} == {2: 0.5, 6: 0.25}


@pytest.fixture
def inspected(make: Maker) -> Callable[..., dict[str, list[dict[str, Any]]]]:
    """Runs with inspections; method-seed → the layers that their files hold."""

    def build(*methods: str, seeds: tuple[int, ...] = (0, 1), **settings: Any) -> dict[str, list[dict[str, Any]]]:
        found = {}
        for number, method in enumerate(methods):
            for seed in seeds:
                run = make.run(method, seed=seed)
                anchored = method in ("pissa", "milora", "geora")
                found[f"{method}-{seed}"] = add_inspection(run, seed=10 * number + seed, anchored=anchored, **settings)
        return found

    return build


def six(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """q and o of the first, the middle and the last of four layers."""
    return [one for one in layers if one["kind"].endswith(("q_proj", "o_proj")) and one["depth"] in (0, 2, 3)]


def test_figure_3_is_the_mean_of_six_projections(make: Maker, inspected: Any) -> None:
    layers = inspected("lora", "pissa")
    drawing = draw("figure-03-alignment", make.root)
    for form, key in (("ΔW", "update"), ("sBA", "product")):
        p, energy = panel(drawing, f"Distribution of {form}"), panel(drawing, f"Cumulative energy of {form}")
        for i in (1, 7, 32):
            for method, own in (("pissa", key), ("lora", "update")):  # LoRA's sBA is its change
                of_seeds = [
                    fmean(32 * one[own]["distribution"][i - 1] for one in six(layers[f"{method}-{seed}"]))
                    for seed in (0, 1)
                ]
                row = p[method, float(f"{i / 32:.6g}")]
                assert (row["value"], row["low"]) == (close(fmean(of_seeds)), close(min(of_seeds)))
                sums = [one[own]["energy"][i - 1] for seed in (0, 1) for one in six(layers[f"{method}-{seed}"])]
                assert energy[method, float(f"{i / 32:.6g}")]["value"] == close(fmean(sums))
    assert "layers 0, 2 and 3" in drawing.caption


def test_full_weights_have_no_ba_in_figure_3(make: Maker) -> None:
    add_inspection(make.run("pissa", 1e-3), anchored=True)
    add_inspection(make.run("full", 1e-3), seed=1)
    add_inspection(make.run("full", 1e-4), seed=2)
    drawing = draw("figure-03-alignment", make.root)
    assert {one.title for one in drawing.panels if "1e-4" in one.title} == {
        "Distribution of ΔW, rate 1e-4",
        "Cumulative energy of ΔW, rate 1e-4",
    }
    assert "Distribution of sBA, rate 1e-3" in {one.title for one in drawing.panels}
    assert "full weights have no BA" in drawing.caption


def test_without_an_anchored_start_there_is_one_form_of_the_update(make: Maker, inspected: Any) -> None:
    inspected("lora", "rlpo")
    drawing = draw("figure-03-alignment", make.root)
    assert len(drawing.panels) == 2
    assert "no start here has B₀A₀ ≠ 0" in drawing.caption


def test_the_twelve_methods_figure_holds_every_matrix(make: Maker, inspected: Any) -> None:
    layers = inspected("pissa", "full", seeds=(0,))
    drawing = draw("twelve-methods", make.root)
    found = panel(drawing, "Distribution")
    for number in (1, 10, 20):
        low, high = (number - 1) / 20, number / 20
        values = []
        for one in layers["full-0"]:
            share = sum(
                p * 32 * max(0.0, min(high, (i + 1) / 32) - max(low, i / 32))
                for i, p in enumerate(one["update"]["distribution"])
            )
            values.append(20 * share)
        assert found["full", float(f"{high:.6g}")]["value"] == close(fmean(values))
    assert f"all {DEPTHS * len(KINDS)} matrices" in drawing.caption


def test_figure_7_is_what_geometry_jsonl_says(make: Maker) -> None:
    rows = {seed: add_geometry(make.run("rlpo", seed=seed), seed=seed) for seed in (0, 1)}
    add_geometry(make.run("full"), factor=False)
    drawing = draw("figure-07-similarity", make.root)
    over_time, by_layer = (
        panel(drawing, "Leading directions, all layers"),
        panel(drawing, "Trailing directions, by layer"),
    )
    means = [fmean(layer["similarity_top"] for layer in rows[seed][1]["layers"]) for seed in (0, 1)]
    row = over_time["rlpo", 5]
    assert (row["value"], row["low"], row["high"]) == (close(fmean(means)), close(min(means)), close(max(means)))
    last = [
        layer["similarity_bottom"]
        for seed in (0, 1)
        for layer in rows[seed][-1]["layers"]
        if layer["name"].startswith("model.layers.2.")
    ]
    assert by_layer["rlpo", 2]["value"] == close(fmean(last))
    assert "no factor A" in drawing.caption
    assert "full" in drawing.caption


def test_figure_9_is_of_the_base(make: Maker, inspected: Any) -> None:
    layers = inspected("lora", "rlpo", seeds=(0,))
    drawing = draw("figure-09-spectrum", make.root)
    assert [one.title for one in drawing.panels] == ["layer 1", "layer 2", "layer 4"]
    gate = next(one for one in layers["lora-0"] if one["name"] == "model.layers.1.mlp.gate_proj")
    found = panel(drawing, "layer 2")
    assert found[f"{RANK} leading", "gate_proj"]["value"] == close(fmean(gate["singular_values"]))
    assert found[f"{RANK} trailing", "gate_proj"]["value"] == close(fmean(gate["singular_values_bottom"]))
    assert found["all", "gate_proj"]["value"] == close(gate["spectrum"]["mean"])


def test_geora_s_figure_is_what_the_inspections_say(make: Maker, inspected: Any) -> None:
    layers = inspected("geora", "lora")
    drawing = draw("geora-spectra", make.root)
    for title, key in (("NSS", "nss"), ("S_Head", "s_head")):
        of_seeds = [fmean(one[key] for one in layers[f"geora-{seed}"]) for seed in (0, 1)]
        row = panel(drawing, title)["geora", key]
        assert (row["value"], row["high"]) == (close(fmean(of_seeds)), close(max(of_seeds)))
    spectra, shift = panel(drawing, "Spectra"), panel(drawing, "Shift of σ")
    last = [one["spectra"] for seed in (0, 1) for one in layers[f"geora-{seed}"]]
    assert spectra["geora", 1]["value"] == close(fmean(one["after"][-1] / one["before"][0] for one in last))
    assert spectra["before training", 1]["value"] == close(fmean(one["before"][-1] / one["before"][0] for one in last))
    expected = fmean((one["after"][-1] - one["before"][-1]) / one["before"][0] for one in last)
    assert shift["geora", 1]["value"] == pytest.approx(expected, rel=1e-4)


def test_figures_8_and_10_are_what_the_evaluations_say(make: Maker) -> None:
    right = {"lora": [1, 0, 0, 0], "dct": [1, 1, 0, 0], "rlpo": [1, 1, 1, 0]}
    for method, after in right.items():
        for lr in (1e-4, 1e-3):
            make.run(method, lr, right=([1, 0, 0, 0], after if lr == 1e-3 else [0, 0, 0, 0]))
    make.run("pissa", 1e-3, status="diverged")
    frames = draw("figure-08-frames", make.root)
    assert panel(frames, f"{TASK}, rate 1e-3")["dct", TASK]["value"] == 0.5
    assert panel(frames, f"{OTHER}, rate 1e-4")["rlpo", OTHER]["value"] == 0.0
    rates = draw("figure-10-rates", make.root)
    assert {x: row["value"] for (series, x), row in panel(rates, TASK).items() if series == "rlpo"} == {
        "1e-4": 0.0,
        "1e-3": 0.75,
    }
    assert "did not finish: pissa-lr0.001-seed0" in rates.caption


def test_figures_4_and_5_set_side_by_side_what_the_papers_do(make: Maker) -> None:
    for schedule in ("constant", "cosine"):
        for method in ("lora", "pissa", "olora"):
            level = 0.2 if schedule == "cosine" else 0.1
            make.run(method, rewards=[level] * 6, changes=[f"optim.schedule={schedule}"])
    found = panel(draw("figure-04-schedules", make.root), "Reward, pissa")
    assert {series: row["value"] for (series, x), row in found.items() if x == 6} == {
        "pissa (schedule constant)": 0.1,
        "pissa (schedule cosine)": 0.2,
        "lora (schedule constant)": 0.1,
    }
    scaling = draw("figure-05-scaling", make.root)
    assert "Not here: milora and olora_tail." in scaling.caption
    assert "Runs at a constant learning rate alone, as in the RLPO paper." in scaling.caption
    drawn = panel(scaling, "Reward, leading directions")
    assert {series for series, _ in drawn} == {f"{name} (schedule constant)" for name in ("lora", "pissa", "olora")}
    assert {row["value"] for row in drawn.values()} == {0.1}


def test_figure_5_never_sets_two_schedules_side_by_side(make: Maker) -> None:
    make.run("pissa")
    make.run("olora", changes=["optim.schedule=cosine"])
    reason = next(figure for figure in FIGURES if figure.name == "figure-05-scaling").draw(evidence_of(make.root))
    assert isinstance(reason, Missing)
    make.run("pissa", changes=["optim.schedule=cosine"])
    scaling = draw("figure-05-scaling", make.root)
    assert "Runs at a rate that decays by a cosine." in scaling.caption
    assert {series for series, _ in panel(scaling, "Reward, leading directions")} == {
        "pissa (schedule cosine)",
        "olora (schedule cosine)",
    }


@pytest.mark.parametrize(("layers", "third", "ninth"), [(28, [0, 14, 27], [0, 13, 27]), (4, [0, 2, 3], [0, 1, 3]),
                                                       (5, [0, 2, 4], [0, 2, 4]), (1, [0], [0])])  # fmt: skip
def test_the_middle_layer_is_the_papers(layers: int, third: list[int], ninth: list[int]) -> None:
    """Its Fig. 3 has 0, 14 and 27 of 28, its Fig. 9 counts 1, 14 and 28."""
    matrices: Any = [SimpleNamespace(depth=depth) for depth in range(layers)]
    assert depths(matrices) == third
    assert depths_from_one(matrices) == ninth


def test_figures_8_and_10_hold_pass_at_k_where_a_question_has_several_samples(make: Maker) -> None:
    right = ([[0, 0], [1, 0]], [[1, 0], [1, 1]])
    for method in ("lora", "dct", "rlpo"):
        for lr in (1e-4, 1e-3):
            make.run(method, lr, right=right)
    frames = draw("figure-08-frames", make.root)
    assert panel(frames, f"{TASK}, rate 1e-3")["dct", TASK]["value"] == 0.75
    assert panel(frames, f"{TASK}, pass@2, rate 1e-3")["dct", f"{TASK}, pass@2"]["value"] == 1.0
    assert "pass@k is the chance" in frames.caption
    rates = draw("figure-10-rates", make.root)
    assert panel(rates, f"{TASK}, pass@2")["rlpo", "1e-3"]["value"] == 1.0
    assert panel(rates, "mean of all tasks, pass@k")["rlpo", "1e-3"]["value"] == 1.0
    assert panel(rates, "mean of all tasks")["rlpo", "1e-3"]["value"] == 0.75


def test_figure_11_is_the_loss_of_supervised_runs(make: Maker) -> None:
    losses = [[3.0, 2.0, 1.0], [2.0, 2.0, 0.5]]
    for seed, loss in enumerate(losses):
        make.run("rlmo", seed=seed, rewards=[0.0] * 3, metrics={"reward": [None] * 3, "loss": loss}, changes=SFT)
    drawing = draw("figure-11-sft", make.root)
    row = panel(drawing, TASK)["rlmo", 3]
    means = [fmean(loss) for loss in losses]
    sigma = stdev(means)
    assert (row["value"], row["low"], row["high"]) == (
        close(fmean(means)), close(fmean(means) - sigma), close(fmean(means) + sigma)
    )  # fmt: skip
    assert sigma > max(means) - fmean(means), "the range would be narrower"
    assert "one sample standard deviation" in drawing.caption
    assert "highest seed" not in json.dumps(drawing.on_page()[0].to_dict())
    assert drawing.width == COLUMN
    assert "updates" in drawing.caption
    assert "rollout" not in drawing.caption
    reason = next(figure for figure in FIGURES if figure.name == "figure-02-dynamics").draw(evidence_of(make.root))
    assert isinstance(reason, Missing)
    assert "supervised" in reason.reason


def test_a_run_that_diverged_is_drawn_as_far_as_it_goes(make: Maker) -> None:
    make.run("lora", rewards=[0.5] * 6)
    nan = float("nan")
    make.run("pissa", rewards=[0.5, 0.2, 0.1], metrics={"grad_norm": [1.0, nan, 3.0]}, status="diverged")
    drawing = draw("figure-02-dynamics", make.root)
    assert [panel(drawing, "Gradient norm")["pissa", x]["value"] for x in (1, 2, 3)] == [1.0, None, 3.0]
    assert "pissa-lr0.001-seed0 (diverged, 3 rollouts)" in drawing.caption
    (missing,) = [f.draw(evidence_of(make.root)) for f in FIGURES if f.name == "figure-03-alignment"]
    assert "the run diverged" in missing.reason


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory from which every figure can be drawn."""
    make = Maker(tmp_path_factory.mktemp("figures") / "comparison")
    for number, method in enumerate(("lora", "pissa", "olora", "rlpo", "dct", "full")):
        kl = {"kl_rollout": [1e-4, 1e-3, 1e-2, 1e-3, 1e-2, 1.0]}
        run = make.run(method, metrics=kl, trained=64 + number)
        add_geometry(run, seed=number, factor=method != "full")
        add_inspection(run, seed=number, anchored=method in ("pissa", "olora"))
    make.run("lora", 1e-2, metrics=kl)
    make.run("lora", metrics=kl, changes=["optim.schedule=cosine"])
    make.run("lora", metrics={"reward": [None] * 6, "loss": [3.0, 2.5, 2.0, 1.5, 1.2, 1.0]}, changes=SFT)
    return make.root


def test_every_figure_becomes_png_and_pdf_of_a_paper_s_width(everything: Path) -> None:
    said: list[str] = []
    evidence = read_evidence(read_runs(everything), said.append)
    paths = write_figures(evidence, everything, said.append)
    assert said == []
    drawn = [figure for figure in FIGURES if isinstance(figure.draw(evidence), Drawing)]
    assert {figure.section for figure in FIGURES if figure not in drawn} == {"curves"}, "of metrics without a value"
    assert {"ranking", "pairs", "curve-loss"} <= {figure.name for figure in drawn}
    assert {path.name for path in paths} == {
        *(f"{figure.name}{ending}" for figure in drawn for ending in (".png", ".pdf")),
        "captions.md",
    }
    assert sorted(path.name for path in (everything / "figures").iterdir()) == sorted(path.name for path in paths)
    widths = {figure.name: found.width for figure in FIGURES if isinstance(found := figure.draw(evidence), Drawing)}
    assert set(widths.values()) <= {COLUMN, PAGE}
    for path in paths:
        if path.suffix == ".png":
            width = struct.unpack(">I", path.read_bytes()[16:20])[0] * 72 / 300
            assert width <= widths[path.stem], path.name
        elif path.suffix == ".pdf":
            assert path.read_bytes().startswith(b"%PDF")
    captions = (everything / "figures" / "captions.md").read_text()
    assert all(f"## {figure.name}\n" in captions and figure.source in captions for figure in drawn)


def test_letters_have_eight_points_on_paper_and_a_method_its_colour_everywhere(everything: Path) -> None:
    evidence = evidence_of(everything)
    colours: dict[str, set[str]] = {}
    for figure in FIGURES:
        drawing = figure.draw(evidence)
        if isinstance(drawing, Missing) and figure.section == "curves":
            continue
        assert isinstance(drawing, Drawing)
        spec = drawing.on_paper().to_dict()
        sizes = [value for key, value in walk(spec) if key.endswith("FontSize") or key == "fontSize"]
        assert sizes
        assert min(sizes) >= 8, figure.name
        for key, value in walk(spec):
            if key == "color" and isinstance(value, dict) and value.get("field") == "series":
                for label, colour in zip(value["scale"]["domain"], value["scale"]["range"], strict=True):
                    colours.setdefault(label.partition(" (")[0], set()).add(colour)
    assert all(len(found) == 1 for found in colours.values()), colours


def test_a_name_beside_its_dot_is_not_cut(make: Maker) -> None:
    for method in ("wavelet", "rlpo"):
        make.run(method)
    spec = draw("figure-08-frames", make.root).on_paper().to_dict()
    limits = [value for key, value in walk(spec) if key == "labelLimit" and value]
    assert limits
    assert min(limits) >= LETTER * len("wavelet")


def walk(value: Any) -> list[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(value, dict):
        return [*value.items(), *(pair for one in value.values() for pair in walk(one))]
    return [pair for one in value for pair in walk(one)] if isinstance(value, list) else []


def test_the_command_names_the_page_and_the_pictures_and_says_what_is_missing(make: Maker) -> None:
    """And removes an old picture of that."""
    run = make.run("rlpo")
    (run / "figures").mkdir()
    (run / "figures" / "figure-07-similarity.png").write_bytes(b"old")
    (run / "figures" / "mine.png").write_bytes(b"kept")
    result = CliRunner().invoke(cli, ["report", str(run), "--figures"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [str(run / "report.html"), str(run / "figures")]
    said = [line for line in result.stderr.splitlines() if " is not drawn: " in line]
    assert "RLPO paper, Fig. 7 is not drawn: it needs run.geometry_every > 0" in said
    page = (run / "report.html").read_text()
    assert len(said) == sum(f"{figure.label} (" in page for figure in FIGURES if figure.source)
    curves = ("reward", "kl-base", "grad-norm", "completion-length")
    drawn = ("figure-02-dynamics", "figure-06-kl", *(f"curve-{one}" for one in curves))
    assert {path.name for path in (run / "figures").iterdir()} == {
        "captions.md", "mine.png", *(f"{one}{ending}" for one in drawn for ending in (".png", ".pdf")),
    }  # fmt: skip


def test_an_untrained_adapter_has_no_direction_to_draw(make: Maker, inspected: Any) -> None:
    inspected("lora", changed=False)
    reason = next(figure for figure in FIGURES if figure.name == "twelve-methods").draw(evidence_of(make.root))
    assert isinstance(reason, Missing)
    assert "no inspected run has changed any" in reason.reason


def test_a_broken_geometry_file_is_named(make: Maker) -> None:
    run = make.run()
    (run / "geometry.jsonl").write_text(json.dumps({"step": 1}) + "\n")
    with pytest.raises(Exception, match=r"geometry\.jsonl"):
        write_report(run)
