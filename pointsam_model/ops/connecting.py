"""Connected pieces of masks in plain PyTorch: every point learns the lowest row of its piece."""

from __future__ import annotations

import torch
from torch import Tensor


def connected_pieces(masks: Tensor, links: Tensor) -> tuple[Tensor, Tensor]:
    """`pointsam_model.ops.connected_pieces`; all masks at once.

    Each point names a row of its piece, at first its own. In a round it looks along its links for
    the lowest row named there, tells the row that it has named, and then names what that row names.
    So pieces double in each round, and few are needed; the host waits for the device in each.
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
