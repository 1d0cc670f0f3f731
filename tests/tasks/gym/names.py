"""The package's tasks by name, and what each of these tests asks of the package itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

NULL = ("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour")  # rows without an answer
NO_TASK = {"composite": "a mixture of other tasks, which has no rows and no scorer of its own"}
LISTED = """
ab acre advanced_geometry aiw arc_1d arc_agi base_conversion basic_arithmetic bf binary_alternation binary_matrix
bitwise_arithmetic caesar_cipher calendar_arithmetic chain_sum circuit_logic codeio coin_flip color_cube_rotation
complex_arithmetic count_bits count_primes countdown course_schedule cryptarithm decimal_arithmetic decimal_chain_sum
dice emoji_mystery family_relationships figlet_font fraction_simplification futoshiki game_of_life game_of_life_halting
gcd group_anagrams gsm_symbolic intermediate_integration isomorphic_strings jugs kakurasu knight_swap knights_knaves
largest_island lcm leg_counting letter_counting letter_jumble list_functions mahjong_puzzle manipulate_matrix maze
mini_sudoku modulo_grid n_queens needle_haystack number_filtering number_format number_sequence number_sorting
palindrome_generation palindrome_partitioning path_star polynomial_equations polynomial_multiplication pool_matrix
power_function prime_factorization products puzzle24 quantum_lock ransom_note rearc rectangle_count rotate_matrix
rotten_oranges self_reference sentence_reordering shortest_path simple_equations simple_geometry simple_integration
sokoban spell_backward spiral_matrix string_insertion string_manipulation string_splitting string_synthesis sudoku
survo syllogism time_intervals tower_of_hanoi tsumego word_ladder word_sequence_reversal word_sorting zebra_puzzles
"""
ANSWERED = LISTED.split()


def library(script: str, given: Any = None, **environment: str) -> Any:
    """What a script with the package in hand leaves in `found`; in a process of its own, as its scorers run code."""
    start = "import contextlib, io, json, sys\ngiven = json.load(sys.stdin)\n"
    script = f"{start}with contextlib.redirect_stdout(io.StringIO()):\n    import reasoning_gym\n{script}\n"
    ended = subprocess.run(
        [sys.executable, "-c", script + "print(json.dumps(found))"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), **environment},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])
