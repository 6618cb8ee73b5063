"""Objects before they are placed: about their centres of mass, sampled by surface points."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pointsam_model.scenes.shapes.objects import Piece
from pointsam_model.scenes.solids.primitives import Primitives, areas, sample_surface

POINTS = 384  # surface points of an object


def primitives_of(pieces: Sequence[Piece]) -> Primitives:
    """Rows of the pieces, in their own coordinate frame."""
    return Primitives(
        torch.tensor([piece.kind for piece in pieces], dtype=torch.int64),
        torch.tensor([piece.size for piece in pieces], dtype=torch.float32).view(-1, 4),
        torch.tensor([piece.rotation for piece in pieces], dtype=torch.float32).view(-1, 3, 3),
        torch.tensor([piece.centre for piece in pieces], dtype=torch.float32).view(-1, 3),
    )


class Things:
    """Objects of all surfaces: primitives about each one's centre of mass, and sampled points.

    Attributes (n primitives, s surfaces, at most l = `longest` objects on one):
        primitives: in the coordinate frame of their object's centre of mass.
        surface, order (n,): which surface, and the how-manieth object of it.
        part (n,): of its object.
        points (s,l,POINTS,3) [m]: on the objects; extent (s,l,3) [m]: how far they reach.
    """

    def __init__(self, surfaces: Sequence[Sequence[Sequence[Piece]]]) -> None:
        # One place even where nothing lies anywhere.
        longest = max(1, *(len(objects) for objects in surfaces))
        self.longest = longest
        surface: list[int] = []
        order: list[int] = []
        pieces: list[Piece] = []
        for i, objects in enumerate(surfaces):
            for j, thing in enumerate(objects):
                surface += [i] * len(thing)
                order += [j] * len(thing)
                pieces += thing
        self.surface = torch.tensor(surface, dtype=torch.int64)
        self.order = torch.tensor(order, dtype=torch.int64)
        self.part = torch.tensor([piece.part for piece in pieces], dtype=torch.int64)
        raw = primitives_of(pieces)
        owner = self.surface * longest + self.order
        slots = len(surfaces) * longest
        area = areas(raw).double()
        # Shells and solids alike: weight by surface.
        total = torch.zeros(slots, dtype=torch.float64).index_add_(0, owner, area)
        mass_centre = (
            torch.zeros(slots, 3, dtype=torch.float64).index_add_(
                0, owner, area[:, None] * raw.centre.double()
            )
            / total.clamp_min(1e-12)[:, None]
        )
        self.primitives = Primitives(
            raw.kind, raw.size, raw.rotation, (raw.centre - mass_centre.float()[owner])
        )
        points = torch.zeros(slots, POINTS, 3)
        if len(owner):
            points[torch.unique(owner)] = self._sample(owner, area)
        self.points = points.view(len(surfaces), longest, POINTS, 3)
        self.extent = self.points.abs().amax(2)

    def _sample(self, owner: Tensor, area: Tensor) -> Tensor:
        """Surface points (objects,POINTS,3), on each primitive by its area; `owner` ascends."""
        _, number = torch.unique(owner, return_inverse=True)
        objects = int(number[-1]) + 1
        total = torch.zeros(objects, dtype=torch.float64).index_add_(0, number, area)
        # Each object's shares sum to one, so in the running sum object k ends at k + 1.
        ends = (area / total[number]).cumsum(0)
        fraction = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
        wanted = (torch.arange(objects, dtype=torch.float64)[:, None] + fraction).flatten()
        row = torch.searchsorted(ends, wanted).clamp(max=len(ends) - 1)
        # A low-discrepancy sequence (R3): evenly spread in any run of its indices.
        index = torch.arange(POINTS, dtype=torch.float64)[:, None]
        steps = torch.tensor([0.8191725134, 0.6710436067, 0.5497004779], dtype=torch.float64)
        uniform = ((0.5 + index * steps) % 1.0).float().repeat(objects, 1)
        return sample_surface(self.primitives, row, uniform).view(objects, POINTS, 3)
