"""What README.md and docs/ quote, written anew: `python -m scripts`, or `python -m scripts.NAME` for one page."""

import torch

from scripts import (
    choose,
    collapsed,
    commands,
    laboratory,
    log,
    methods,
    models,
    numbers,
    readme,
    real,
    recipe,
    reproduce,
    scaling,
    spectra,
    step,
    tasks,
    theory,
    verl,
    which,
)
from stiefel.quiet import quiet

PAGES = (
    readme,
    recipe,
    commands,
    tasks,
    models,
    reproduce,
    theory,
    spectra,
    real,
    step,
    choose,
    scaling,
    verl,
    methods,
    collapsed,
    which,
    laboratory,
    log,
    numbers,
)

if __name__ == "__main__":
    quiet()
    torch.set_num_threads(1)  # theory's matrices are so small that threads wait for one another
    for page in PAGES:
        page.write()
