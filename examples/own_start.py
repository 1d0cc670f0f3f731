"""A start of your own: one function from a layer to its factors, with a record of what it claims.

In the directory of this file:

    stiefel methods --check own_start:sketch                        # does it keep what it claims?
    stiefel init nano --method own_start:sketch --rank 8 --out adapter
    stiefel verify adapter --base nano --method own_start:sketch    # draws every start again
    stiefel train ../recipes/nano/dapo.toml --set adapter.method=own_start:sketch --out run
"""

import torch

from stiefel import Claims, Factors, Layer, method


@method(claims=Claims(a_orthonormal=True, b_zero=True, seeded=True))
def sketch(layer: Layer) -> Factors:
    """A = Qᵀ with QR = WᵀG, G (out, r) Gaussian: r directions drawn by W's energy, not its leading ones; B = 0."""
    G = torch.randn(layer.out_features, layer.rank, generator=layer.generator(), dtype=torch.float64)
    Q, _ = torch.linalg.qr(layer.W.to("cpu", torch.float64).T @ G)
    return Factors(A=Q.T.float().contiguous(), B=layer.zero_b())
