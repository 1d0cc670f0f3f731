"""What a terminal shows: every kind, every depth, and no column without a number."""

from __future__ import annotations

import stiefel
from stiefel.geometry import inspect
from stiefel.geometry.table import cell, print_inspection, rows


def test_the_table_has_kinds_depths_and_the_reading(make_model, take_steps, tmp_path, capsys) -> None:
    make_model().save_pretrained(tmp_path / "base")
    for method in ("rlpo", "pissa"):
        adapted = stiefel.attach(make_model(), method, r=4)
        take_steps(adapted)
        stiefel.save(adapted, tmp_path / method)
        found = inspect(tmp_path / method, str(tmp_path / "base"))
        table = rows(found)
        assert [row[0] for row in table] == [
            "mean of",
            *dict.fromkeys(layer.kind for layer in found.layers),
            "layer 0",
            "layer 1",
            "all 14",
        ]
        assert len({len(row) for row in table}) == 1
        assert "" not in table[-1]
        assert table[-1][table[0].index("S_Head")] == cell(found.summary["s_head"], share=True)
        print_inspection(found)
        shown = capsys.readouterr().out
        assert max(len(line) for line in shown.splitlines()) <= 120
        # the sentences may be wrapped
        assert " ".join(found.reading).split() == shown.split()[-len(" ".join(found.reading).split()) :]


def test_full_weights_have_no_factor_columns_and_a_base_no_figures(make_model, tmp_path) -> None:
    make_model().save_pretrained(tmp_path / "base")
    untrained = inspect(tmp_path / "base", str(tmp_path / "base"))
    assert rows(untrained)[0] == ["mean of", "‖ΔW‖/‖W‖"]
    assert cell(None, share=True) == ""
