"""The warm base: SmolLM2-135M-Instruct after supervised training on eight tasks; kept once it is there."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from scripts.smollm2 import HOME, SOURCE
from stiefel.adapter import export
from stiefel.artifacts import file_digest, write_json
from stiefel.errors import UserError
from stiefel.progress import run_progress
from stiefel.recipe import load_recipe
from stiefel.run import train

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "smollm2" / "warm.toml"
WEIGHTS = "model.safetensors"
RUN, WARM = HOME.parent / "smollm2-warm-run", HOME.parent / "smollm2-warm"


def main() -> None:
    """Train, export and note the digests, or say that it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=WARM)
    out = parser.parse_args().out
    try:
        made = make(out)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"{out}: {'made' if made else 'is there already'}, {WEIGHTS} is {file_digest(out / WEIGHTS)}")
    print("next: stiefel train recipes/smollm2/dapo.toml --out runs/smollm2")


def make(out: Path) -> bool:
    """True where it was made now; a run that was stopped goes on. Raises UserError where the model is not there."""
    if not (HOME / SOURCE).is_file():
        raise UserError(f"{HOME} is not there", "the warm base is trained from it", "make smollm2")
    made_from = {"recipe": file_digest(RECIPE), "base": file_digest(HOME / SOURCE)}
    if is_of(out, made_from):
        return False
    recipe = load_recipe(RECIPE)
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"path": str(HOME)})})
    with run_progress(None) as (on_row, say):
        train(recipe, RUN, resume=True, progress=say, on_row=on_row)
    if out.is_dir() and not (out / SOURCE).is_file():
        raise UserError(f"{out} holds something else", f"there is no {SOURCE} in it", "give another --out")
    building = out.with_name(f".{out.name}")
    shutil.rmtree(building, ignore_errors=True)  # of a call that was stopped
    export(RUN, str(HOME), "merged", building)
    files = {path.name: file_digest(path) for path in sorted(building.iterdir())}
    write_json(building / SOURCE, {**made_from, "files": files})
    if out.is_dir():
        shutil.rmtree(out)
    building.rename(out)
    return True


def is_of(out: Path, made_from: dict[str, str]) -> bool:
    """True for a directory that was made of this recipe and base, with its weights as they were made."""
    if not (out / SOURCE).is_file():
        return False
    source = json.loads((out / SOURCE).read_text())
    same = all(source.get(key) == value for key, value in made_from.items())
    return same and (out / WEIGHTS).is_file() and file_digest(out / WEIGHTS) == source["files"][WEIGHTS]


if __name__ == "__main__":
    main()
