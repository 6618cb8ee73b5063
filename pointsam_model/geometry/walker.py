"""Masks that follow the surface: a prior and some clicks, spread along edges that nothing cuts.

A random walker (Grady, Random Walks for Image Segmentation, 2006) with a prior at every point: each
point takes the mean of its neighbours, weighted by how surely they belong together, drawn to the
prior with a strength of its own and to clicks with a large one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from pointsam_model.device.cores import on_one_core

# Said once in a process; all that is used of such tensors is their product with a matrix.
warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)

CLICKED = 5  # neighbours of a click that it speaks for, beside its own point
CLICK_STRENGTH = 50.0
SHARPNESS = 3  # power of the probability that an edge is within an object
REACH = 8.0  # squared lengths over this many squared spacings weigh 1/e
LEAST = 1e-4  # weight of an edge that is surely cut
NEAREST = 6  # neighbours of each point that a walker goes to
ROUNDS, CLOSE = 20, 1e-2  # of conjugate gradients, and the residual that ends them


@dataclass(frozen=True)
class Prior:
    """What is thought of each point before the surface is looked at.

    Attributes:
        inside: (m,) probability.
        strength: how much it draws, where the surface draws with about 1 to 10.
    """

    inside: NDArray[np.float32]
    strength: float


class Walker:
    """Spreads priors and clicks over a surface of m points.

    Args:
        start, end: (e,) edges, their ends.
        length: (e,) in units of the median edge.
        cut: (e,) probability that an object ends there.
        neighbours: (m,k) the points around each.
    """

    def __init__(
        self,
        start: NDArray[np.int64],
        end: NDArray[np.int64],
        length: NDArray[np.float32],
        cut: NDArray[np.float32],
        neighbours: NDArray[np.int64],
    ) -> None:
        m = len(neighbours)
        near = _among_nearest(start, end, neighbours)
        start, end, length, cut = start[near], end[near], length[near], cut[near]
        weight = np.maximum(1 - cut, 1e-3) ** SHARPNESS * np.exp(-(length**2) / REACH) + LEAST
        both = np.concatenate((start, end)), np.concatenate((end, start))
        self._weight = csr_matrix(
            (np.concatenate((weight, weight)).astype(np.float32), both), shape=(m, m)
        )
        self._multiplier = _multiplier(self._weight)
        self._total = np.asarray(self._weight.sum(1), np.float32).ravel()
        self._neighbours = neighbours

    @property
    def nbytes(self) -> int:
        """Bytes of its own arrays; the neighbours are the partition's."""
        weight = self._weight
        arrays = weight.data, weight.indices, weight.indptr, self._total
        return int(sum(array.nbytes for array in arrays))

    def spread(
        self, priors: Sequence[Prior], clicks: Sequence[int], labels: Sequence[int]
    ) -> NDArray[np.float32]:
        """Probabilities (p,m) that points are in the mask, one row a prior.

        Args:
            priors: p of them.
            clicks: rows of the points clicked; labels: 1 on, 0 off the object.
        """
        pull = np.stack(
            [np.full(len(prior.inside), prior.strength, np.float32) for prior in priors], 1
        )
        target = np.stack([prior.strength * prior.inside for prior in priors], 1).astype(np.float32)
        for click, label in zip(clicks, labels, strict=True):
            at = np.append(self._neighbours[click, :CLICKED], click)
            pull[at] += CLICK_STRENGTH
            target[at] += CLICK_STRENGTH * label
        first = np.stack([prior.inside for prior in priors], 1).astype(np.float32)
        diagonal = self._total[:, None] + pull
        # Products this small are over before a second core has taken its share.
        solved = on_one_core(lambda: self._solved(diagonal, target, first))
        return np.ascontiguousarray(solved.T)

    def _solved(
        self, diagonal: NDArray[np.float32], target: NDArray[np.float32], found: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What `diagonal - weight` takes to the target: (m,p), from a first guess.

        Conjugate gradients, preconditioned by the diagonal, of all columns at once. One that is
        close leaves: a strong prior's does so long before a weak one's.
        """
        result, open_columns = found, np.arange(found.shape[1])
        rest = target - self._applied(diagonal, found)
        scaled = rest / diagonal
        direction, size = scaled.copy(), _products(rest, scaled)
        for _ in range(ROUNDS):
            moved = self._applied(diagonal, direction)
            step = _on_all_rows(size / np.maximum(_products(direction, moved), 1e-12), moved)
            found += step * direction
            moved *= step
            rest -= moved
            np.divide(rest, diagonal, out=scaled)
            before, size = size, _products(rest, scaled)
            direction *= _on_all_rows(size / np.maximum(before, 1e-12), moved)
            direction += scaled
            far = np.sqrt(size) >= CLOSE
            if not far.all():
                result[:, open_columns] = found
                if not far.any():
                    break
                open_columns, size = open_columns[far], size[far]
                diagonal, rest, scaled, direction, found = (
                    column.compress(far, 1) for column in (diagonal, rest, scaled, direction, found)
                )
        result[:, open_columns] = found
        return result

    def _applied(
        self, diagonal: NDArray[np.float32], at: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(m,p) `diagonal - weight` times (m,p)."""
        result = diagonal * at
        if self._multiplier is None:
            result -= self._weight @ at
        else:
            torch.from_numpy(result).addmm_(self._multiplier, torch.from_numpy(at), alpha=-1)
        return result


def _multiplier(matrix: csr_matrix) -> Tensor | None:
    """The same matrix in the same memory for MKL, whose products take a third of SciPy's time; None
    where PyTorch has no MKL."""
    if not torch.backends.mkl.is_available():
        return None
    rows, columns, values = map(torch.from_numpy, (matrix.indptr, matrix.indices, matrix.data))
    return torch.sparse_csr_tensor(rows, columns, values, matrix.shape, check_invariants=False)


def _products(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(p,) scalar products of the columns of (m,p): those of all pairs take BLAS less time."""
    return (a.T @ b).diagonal()


def _on_all_rows(columns: NDArray[np.floating], like: NDArray[np.float32]) -> NDArray[np.floating]:
    """Numbers (p,) written out as (m,p): NumPy is slow at broadcasting over rows this short."""
    return np.repeat(columns[None], len(like), 0)


def _among_nearest(
    start: NDArray[np.int64], end: NDArray[np.int64], neighbours: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(e,) whether one end is among the NEAREST neighbours of the other."""
    m = len(neighbours)
    rows = np.arange(m)[:, None]
    near = neighbours[:, :NEAREST]
    key = np.minimum(rows, near) * m + np.maximum(rows, near)
    return np.isin(start * m + end, key.ravel())
