"""The puzzle solved by search, with rules of our own: the package keeps no solution."""

from __future__ import annotations

import string
from collections import deque

SIDE, ROW = 6, 2  # the red car A leaves at the right end of this row
Cars = dict[str, tuple[int, int, int, bool]]  # label → (row, column, length, whether it lies across)


def cars_of(board: str) -> tuple[Cars, set[tuple[int, int]]]:
    """The cars and the walls of a board, which holds a letter, x or o for each square.

    The question shows the cars lettered anew, without the gaps that the board may have.
    """
    cars: Cars = {}
    squares: dict[str, list[tuple[int, int]]] = {}
    for number, label in enumerate(board):
        squares.setdefault(label, []).append(divmod(number, SIDE))
    walls = set(squares.pop("x", []))
    squares.pop("o", None)
    for label, (_, places) in zip(string.ascii_uppercase, sorted(squares.items()), strict=False):
        (row, column), (next_row, _) = places[0], places[1]
        cars[label] = (row, column, len(places), row == next_row)
    return cars, walls


def covered(row: int, column: int, length: int, across: bool) -> set[tuple[int, int]]:
    """The squares that a car stands on."""
    return {(row, column + step) if across else (row + step, column) for step in range(length)}


def solution(board: str) -> list[str]:
    """The fewest moves that bring A to the exit, such as A+2; a move is one car by any number of free squares."""
    first, walls = cars_of(board)
    seen = {tuple(sorted(first.items()))}
    waiting = deque([(first, list[str]())])
    while waiting:
        cars, moves = waiting.popleft()
        if cars["A"][1] == SIDE - cars["A"][2]:
            return moves
        for label, (row, column, length, across) in cars.items():
            taken = walls.union(*(covered(*car) for other, car in cars.items() if other != label))
            for sign in (1, -1):
                for steps in range(1, SIDE):
                    place = (row, column + sign * steps) if across else (row + sign * steps, column)
                    squares = covered(*place, length, across)
                    if squares & taken or not all(0 <= x < SIDE and 0 <= y < SIDE for x, y in squares):
                        break
                    moved = {**cars, label: (*place, length, across)}
                    key = tuple(sorted(moved.items()))
                    if key not in seen:
                        seen.add(key)
                        waiting.append((moved, [*moves, f"{label}{'+' if sign > 0 else '-'}{steps}"]))
    raise AssertionError("there is no solution")
