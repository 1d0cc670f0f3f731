"""A process of its own for one cell, `python -m stiefel.comparison.cell measure|train DIRECTORY NAME`.

The directory holds what a worker of a cluster was sent, and takes what the cell leaves: see place.py.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from ..artifacts import SAMPLES, write_json
from ..errors import UserError
from ..quiet import quiet
from ..recipe import load_recipe
from .cells import base_samples, one_run
from .place import MEASURE, Place

REFUSED = 2  # as the command line's exit status


def main() -> int:
    """Do what the arguments say; the error that ends it is left in a file."""
    kind, place = sys.argv[1], Place(Path(sys.argv[2]))
    run = place.run(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's, which ends its workers
    threading.Thread(target=end_with_worker, args=(place.directory,), daemon=True).start()
    quiet()
    recipe = load_recipe(place.recipe)
    try:
        if kind == MEASURE:
            run.mkdir(exist_ok=True)
            base_samples(recipe, run / SAMPLES)
        else:
            one_run(recipe, run, place.base if place.base.is_file() else None)
    except UserError as error:
        write_json(place.error, [error.what, error.why, error.instead])
        return REFUSED
    return 0


def end_with_worker(directory: Path) -> None:
    """End when the worker, which holds the other end of stdin, is gone: nobody would take what the cell leaves.

    The directory is removed by a fork of this thread alone, once nothing writes there any more.
    """
    while os.read(0, 1):
        pass
    cell = os.getpid()
    if os.fork():
        os._exit(1)
    while os.getppid() == cell:
        time.sleep(0.01)
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
