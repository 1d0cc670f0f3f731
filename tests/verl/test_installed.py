"""The verl that is installed is the one that was tried."""

from __future__ import annotations

from stiefel.verl.installed import verl_version, was_tried


def test_the_installed_verl_is_the_one_that_was_tried():
    assert was_tried(verl_version())
