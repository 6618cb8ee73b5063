"""Connected pieces of masks and of edges in plain PyTorch, and masks without specks and holes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Pieces = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # `connected_pieces`, or what is faster


def cleaned_masks(masks: Tensor, links: Tensor, share: float, pieces_of: Pieces) -> Tensor:
    """`pointsam_model.ops.cleaned_masks`, all masks at once."""
    pieces, _ = pieces_of(masks, links)
    sizes = _totals(torch.ones_like(pieces), pieces)
    least = share * torch.where(masks, sizes, 0).amax(1, keepdim=True).double()
    cleaned = masks & (sizes >= least)
    pieces, bordering = pieces_of(cleaned, links)
    small = ~cleaned & (_totals(torch.ones_like(pieces), pieces) < least)
    # A small piece that borders on nothing is a speck of something else.
    return cleaned | (small & (_totals(bordering.long(), pieces) > 0))


def connected_pieces(masks: Tensor, links: Tensor) -> tuple[Tensor, Tensor]:
    """The pieces of masks (c,m) bool, and those of what is outside of each, by links (m,k).

    Each point names a row of its piece, at first its own. In a round it looks along its links for
    the lowest row named there, tells the row that it has named, and then names what that row names.
    So pieces double in each round, and few are needed; the host waits for the device in each.

    Returns:
        pieces (c,m) int64: of each point the lowest row of its piece; bordering (c,m) bool: whether
        a link connects it to a point of the other side.
    """
    sides = masks.t().contiguous()  # rows then lie together, and a link moves whole rows
    ends = links.t().contiguous()
    fits = [sides[end] == sides for end in ends]
    bordering = torch.zeros_like(sides, dtype=torch.int32)
    for end, same in zip(ends, fits, strict=True):
        crosses = (~same).int()
        bordering = bordering.add_(crosses).index_add_(0, end, crosses)
    named = torch.arange(len(links), device=masks.device)[:, None].expand_as(sides).contiguous()
    while True:
        lowest = named.clone()
        for end, same in zip(ends, fits, strict=True):
            there = named[end]
            lowest = torch.minimum(lowest, torch.where(same, there, named))
            back = torch.where(same, named, there)  # one that says nothing new where none is due
            lowest.scatter_reduce_(0, end[:, None].expand_as(back), back, "amin")
        told = torch.minimum(named.scatter_reduce(0, named, lowest, "amin"), lowest)
        for _ in range(2):
            told = told.gather(0, told)
        if torch.equal(told, named):
            return named.t().contiguous(), (bordering > 0).t().contiguous()
        named = told


def connected_parts(
    start: Tensor, end: Tensor, cut: Tensor, count: int, strictness: Sequence[float]
) -> Tensor:
    """`pointsam_model.ops.connected_parts`, by the rounds of `connected_pieces`."""
    parts = torch.empty(len(strictness), count, dtype=torch.int64, device=cut.device)
    for each, of_points in zip(strictness, parts, strict=True):
        joins = cut < each
        of_points[:] = _joined(start[joins], end[joins], count)
    return parts


def _joined(start: Tensor, end: Tensor, count: int) -> Tensor:
    """(count,) the lowest row of those that edges (e,) connect each with."""
    named = torch.arange(count, device=start.device)
    while True:
        there = torch.minimum(named[start], named[end])
        lowest = named.scatter_reduce(0, start, there, "amin")
        lowest.scatter_reduce_(0, end, there, "amin")
        told = torch.minimum(named.scatter_reduce(0, named, lowest, "amin"), lowest)
        for _ in range(2):
            told = told[told]
        if torch.equal(told, named):
            return named
        named = told


def _totals(values: Tensor, pieces: Tensor) -> Tensor:
    """(c,m) for each point the sum of values (c,m) int64 over its piece."""
    return torch.zeros_like(values).scatter_add_(1, pieces, values).gather(1, pieces)
