"""AᵀA of a tall matrix, and what one further pass over A says of vectors that were found from it."""

from __future__ import annotations

import torch
from torch import Tensor

from .linalg import PIECE
from .threads import each

ROWS = 2048  # of a piece: enough for BLAS to be at its best, a few MB in float64
BLOCKS = 8  # of columns; half of AᵀA is the other half's transpose, and so many leave 1/2 + 1/16 of the work
SMALLEST = 1 << 21  # entries of A from which a second thread pays


def gram(A: Tensor, dtype: torch.dtype) -> Tensor:
    """AᵀA (n, n) in float64 of A (m, n), products taken in `dtype`; about mn² operations, half of a plain product's.

    Rows come a piece at a time, and the pieces' products are summed in float64: in float32 the error does not grow
    with m. The same bits on any number of threads.
    """
    m, n = A.shape
    G = torch.zeros(n, n, dtype=torch.float64, device=A.device)
    step = -(-n // BLOCKS) if n >= 16 * BLOCKS else n
    columns = [slice(start, min(n, start + step)) for start in reversed(range(0, n, step))]  # the largest first

    for start in range(0, m, ROWS):
        piece = A[start : start + ROWS].to(dtype)

        def add(block: slice, piece: Tensor = piece) -> None:
            into = G[: block.stop, block]
            if dtype == G.dtype:
                into.addmm_(piece[:, : block.stop].T, piece[:, block])
            else:
                into += piece[:, : block.stop].T @ piece[:, block]

        each(add, columns, pays=large(A))
    for block in columns:  # below the diagonal, and the diagonal blocks exactly symmetric
        corner = G[block, block]
        corner.copy_(corner.triu() + corner.triu(1).T)
        G[block, : block.start] = G[: block.start, block].T
    return G


def large(A: Tensor) -> bool:
    """Whether a second thread pays; a GPU has its own."""
    return A.numel() >= SMALLEST and A.device.type == "cpu"


def images(A: Tensor, X: Tensor) -> tuple[Tensor, Tensor]:
    """(AX, AᵀAX) in X's type for a few columns X (n, b): one pass over A, 4mnb operations.

    The same bits on any number of threads.
    """
    rows = max(1, PIECE // A.shape[1])
    narrow = X.T.contiguous()  # in rows, of which BLAS is two to four times as fast

    def work(start: int) -> tuple[Tensor, Tensor]:
        piece = A[start : start + rows].to(X.dtype)
        image = narrow @ piece.T
        return image, image @ piece

    found = each(work, range(0, A.shape[0], rows), pays=large(A))
    total = torch.zeros_like(narrow)
    for _, part in found:
        total += part
    return torch.cat([image for image, _ in found], dim=1).T.contiguous(), total.T.contiguous()
