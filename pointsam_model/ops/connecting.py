"""Connected components of masks and of edges, and cleaning of masks, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Pieces = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # `connected_pieces` or faster


def cleaned_masks(masks: Tensor, links: Tensor, share: float, pieces_of: Pieces) -> Tensor:
    """`pointsam_model.ops.cleaned_masks`, all masks at once."""
    pieces, _ = pieces_of(masks, links)
    sizes = _totals(torch.ones_like(pieces), pieces)
    least = share * torch.where(masks, sizes, 0).amax(1, keepdim=True).double()
    cleaned = masks & (sizes >= least)
    pieces, bordering = pieces_of(cleaned, links)
    small = ~cleaned & (_totals(torch.ones_like(pieces), pieces) < least)
    # A small outside piece that does not border on the mask is no hole of it.
    return cleaned | (small & (_totals(bordering.long(), pieces) > 0))


def connected_pieces(masks: Tensor, links: Tensor) -> tuple[Tensor, Tensor]:
    """Connected components of masks (c,m) bool and of their complements, by links (m,k).

    Label propagation with pointer jumping: each point's label starts as its own row. In a round it
    takes the lowest label along its links, passes it to the row it was labelled with, and then
    takes that row's label. Components double in each round, so few rounds are needed; the host
    waits for the device in each.

    Returns:
        pieces (c,m) int64: the lowest row of each point's piece; bordering (c,m) bool: whether a
        link connects it to a point on the other side of the mask's edge.
    """
    sides = masks.t().contiguous()  # contiguous per point: a link gathers whole rows
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
            back = torch.where(same, named, there)  # the present label, where there is no link back
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
    """`pointsam_model.ops.connected_parts`, in rounds as in `connected_pieces`."""
    parts = torch.empty(len(strictness), count, dtype=torch.int64, device=cut.device)
    for each, of_points in zip(strictness, parts, strict=True):
        joins = cut < each
        of_points[:] = _joined(start[joins], end[joins], count)
    return parts


def _joined(start: Tensor, end: Tensor, count: int) -> Tensor:
    """(count,) the lowest row in each row's component, by edges (e,)."""
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
    """(c,m) the sum of values (c,m) int64 over each point's piece."""
    return torch.zeros_like(values).scatter_add_(1, pieces, values).gather(1, pieces)
