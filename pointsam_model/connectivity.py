"""What is connected on a cloud's surface: holes and specks of masks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pointsam_model import ops

NEIGHBOURS = 8
FARTHEST = 3.0  # times the median distance of direct neighbours: beyond it nothing is connected


class Surface:
    """The points of a cloud, each connected to its nearest neighbours where they are near.

    Args:
        points: (m, 3) float32.
    """

    def __init__(self, points: NDArray[np.float32]) -> None:
        count = min(NEIGHBOURS + 1, len(points))
        cloud = torch.from_numpy(points)
        near = ops.nearest_neighbours(cloud, cloud, count).numpy()
        distance = np.linalg.norm(points[near] - points[:, None], axis=2)
        reach = FARTHEST * np.median(distance[:, min(1, count - 1)])
        start, neighbour = np.nonzero(distance <= reach)
        ends = near[start, neighbour]
        links = coo_matrix((np.ones(len(start), bool), (start, ends)), (len(points),) * 2)
        self._links = (links + links.T).tocsr()

    def cleaned(self, mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
        """A mask without specks, and with its holes filled.

        Args:
            mask: (m,).
            share: connected pieces smaller than this share of the mask's largest piece are specks;
                pieces of what is not in the mask that are as small and touch it are holes.

        Returns:
            (m,) another mask.
        """
        pieces, sizes = self._pieces(mask)
        if len(sizes) == 0:
            return mask
        least = share * sizes.max()
        cleaned = mask.copy()
        cleaned[mask] = sizes[pieces] >= least
        return cleaned | self._holes(cleaned, least)

    def _holes(self, mask: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
        """(m,) small pieces outside of the mask that border on it."""
        outside = ~mask
        pieces, sizes = self._pieces(outside)
        rows = np.flatnonzero(outside)
        small = sizes[pieces] < least
        touching = np.asarray(self._links[rows[small]] @ mask.astype(np.int32)) > 0
        # A small piece that borders on nothing is a speck of something else.
        bordering = np.zeros(len(sizes), bool)
        bordering[pieces[small][touching]] = True
        holes = np.zeros_like(mask)
        holes[rows[small & bordering[pieces]]] = True
        return holes

    def _pieces(self, mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The piece of each point of a mask, and how many points each piece has."""
        rows = np.flatnonzero(mask)
        count, pieces = connected_components(self._links[rows][:, rows], directed=False)
        return pieces, np.bincount(pieces, minlength=count)
