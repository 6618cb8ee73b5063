"""Voting: the masks of a first click, improved with those of clicks around it.

A single click is ambiguous, and the predicted IoU of a small network says little about which of its
masks is right. But clicks on the patches around it mostly mean the same object: masks that many of
them agree on are objects, and their mean is better than any one of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pointsam_model import ops
from pointsam_model.device.batches import in_batches
from pointsam_model.instances.overlaps import overlaps
from pointsam_model.nn import PointSAM
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.prediction import SURE

AGREE = 0.5  # least IoU of two masks of one object
OWN_VOTES = 2.0  # weight of the click itself; each neighbour's is 1
CLICKS_AT_ONCE = 48  # clicks per decoder batch; bounds the memory


def ask_around(
    model: PointSAM, embedding: Embedding, clicks: Tensor, votes: int
) -> tuple[Tensor, Tensor]:
    """Answers single clicks with votes: each mask is averaged with agreeing ones and decoded again.

    Args:
        model: the network, in evaluation mode.
        embedding: of the cloud.
        clicks: (m, 3) float32, normalised, each on its own object.
        votes: how many of the nearest patch centres are clicked too.

    Returns:
        logits (m, c, n) over the n kept points; scores (m, c): predicted IoU times the mean
        agreement (IoU) of the neighbours inside the mask.
    """
    answers: list[tuple[Tensor, Tensor]] = []
    in_batches(
        len(clicks),
        max(1, CLICKS_AT_ONCE // (1 + votes)),
        lambda rows: answers.append(_ask(model, embedding, clicks[rows], votes)),
    )
    logits, scores = zip(*answers, strict=True)
    return torch.cat(logits), torch.cat(scores)


def _ask(
    model: PointSAM, embedding: Embedding, clicks: Tensor, votes: int
) -> tuple[Tensor, Tensor]:
    patches = embedding.encoding.patches
    centers = patches.centers[0]
    distance = (centers - clicks[:, None]).square().sum(-1)
    around = distance.topk(min(votes, len(centers)), largest=False).indices  # (m, v)
    asked = torch.cat([clicks[:, None], centers[around]], 1)
    rough, _ = decode_clicks(model, embedding, asked.flatten(0, 1)[:, None], at_centers=True)
    rough = rough.unflatten(0, asked.shape[:2])
    own, others = rough[:, 0], rough[:, 1:].flatten(1, 2)  # (m, c, l) and (m, v · c, l)
    weight = embedding.center_counts.float()
    overlap = overlaps(own > 0, others > 0, weight)

    # A neighbour's agreement is that of its best mask; those outside the mask do not count.
    best = overlap.unflatten(-1, (around.shape[1], -1)).amax(-1)
    inside = (own > 0).gather(-1, around[:, None].expand_as(best))
    consent = (best * inside).sum(-1) / inside.sum(-1).clamp_min(1)

    voices = (overlap >= AGREE).float()
    # Logits are clamped so that no single mask decides the mean.
    mean = OWN_VOTES * own.clamp(-SURE, SURE) + voices @ others.clamp(-SURE, SURE)
    mean = mean / (OWN_VOTES + voices.sum(-1, keepdim=True))

    masks = ops.interpolate(
        mean.flatten(0, 1).t().contiguous(), patches.index[0], patches.weight[0]
    )
    again = clicks[:, None].expand(-1, own.shape[1], -1).flatten(0, 1)[:, None]
    logits, scores = decode_clicks(model, embedding, again, masks.t().contiguous()[None])
    shape = own.shape[:2]
    return logits[:, 0].unflatten(0, shape), scores[:, 0].unflatten(0, shape) * consent


def decode_clicks(
    model: PointSAM,
    embedding: Embedding,
    clicks: Tensor,
    mask_logits: Tensor | None = None,
    *,
    at_centers: bool = False,
) -> tuple[Tensor, Tensor]:
    """Logits (p, c, l or n) and predicted IoUs (p, c) of clicks (p, q, 3), all on their objects.

    c is 3, or 1 with mask prompts (1, p, n); `at_centers` decodes at the l patch centres alone.
    """
    logits, scores = model.decode(
        embedding.encoding,
        clicks[None],
        torch.ones(1, *clicks.shape[:2], dtype=torch.int64, device=clicks.device),
        mask_logits=mask_logits,
        multimask=mask_logits is None,
        at_centers=at_centers,
    )
    return logits[0], scores[0]
