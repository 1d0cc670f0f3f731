"""The notebooks in examples/ run from top to bottom, are kept without outputs, and show what their words say."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import stiefel

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples" / "notebooks").glob("*.ipynb"))
NO_WIDGETS = r"IProgress not found|import tqdm as notebook_tqdm"  # tqdm's, where ipywidgets is not installed
SHOWN = {
    "demo": (r"^True$", r"gain [+-]\d\.\d\d \[", r"report\.html"),
    "geometry": (r"rlpo: .* in the top 1\.00", r"rlmo: .* the bottom 1\.00", r"'s_head'", r"^- "),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_valid_and_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count is not None] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(stiefel.__file__).parents[1]))
    for name in ("TMPDIR", "IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))  # nothing of the user's is read or written
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)
    assert [pattern for pattern in SHOWN[path.stem] if not re.search(pattern, said, re.MULTILINE)] == []
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    errors = "".join(output["text"] for output in outputs if output.get("name") == "stderr")
    assert [line for line in errors.splitlines() if not re.search(NO_WIDGETS, line)] == []
