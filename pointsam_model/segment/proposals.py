"""Proposals: every object of a cloud, without prompts (paper, section 4).

Clicks all over the cloud are decoded at the patch centres alone, which costs a fraction of full
masks. Many clicks fall on one object and give masks that agree. How many agree says more about a
mask than its predicted IoU, and their mean is better than the best of them. So each mask that
non-maximum suppression leaves is merged with those that agree with it, and decoded again, at every
point, from their mean and a few of their clicks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from pointsam_model import ops
from pointsam_model.cloud.cloud import Cloud
from pointsam_model.config.settings import PredictorConfig, ProposalConfig, ReductionConfig
from pointsam_model.device.steps import Steps
from pointsam_model.instances.instance import Instance
from pointsam_model.instances.neighbour_graph import NeighbourGraph
from pointsam_model.instances.overlaps import overlaps, suppress
from pointsam_model.instances.planes import is_flat
from pointsam_model.nn import PointSAM
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.part_proposals import PartProposals
from pointsam_model.segment.prediction import SURE, SourceMasks, instances_of, stability_of
from pointsam_model.segment.predictor import Predictor
from pointsam_model.segment.voting import AGREE, decode_clicks

# Batches of these sizes take less time than a decoder batch.
OVERLAPS_AT_ONCE = 512  # masks compared with all others
INSTANCES_AT_ONCE = 32  # masks cleaned of holes and specks, then expanded to source points
PIECE_BYTES, ROW_BYTES = 64, 16  # memory that takes per kept point and per source point
CLICKS = 3  # clicks a merged mask is decoded from, spread over the object
ROUGH_IOU = 0.3  # least predicted IoU of a rough mask that votes; `min_score` if that is less
LEAST_VOTE = 1e-3  # a mask's least vote: weights must be above 0
POINTS_A_CLICK = 8  # least kept points per click: small clouds get fewer clicks
TENSORS = 12  # size of a decoder batch in memory, in tensors of all objects' point features


class ProposalGenerator:
    """Segments everything in a cloud, like SAM's automatic mask generator for images.

    Deterministic and stateless; may be called from several threads.

    Args:
        model: a network in evaluation mode (`load_model`).
        config: how many clicks, and which masks are kept.
        predictor: the settings for embedding clouds and answering clicks; or a predictor, whose
            own model, reduction and quality are then used.
        reduction: which points of a cloud the network sees.
    """

    def __init__(
        self,
        model: PointSAM,
        config: ProposalConfig | None = None,
        predictor: PredictorConfig | Predictor | None = None,
        reduction: ReductionConfig | None = None,
    ) -> None:
        self.config = config or ProposalConfig()
        if isinstance(predictor, Predictor):
            self.predictor = predictor
        else:
            self.predictor = Predictor(model, predictor, reduction)
        self.model = self.predictor.model

    @torch.inference_mode()
    def generate(
        self,
        cloud: Cloud | Embedding,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Instance]:
        """Proposes the objects of a cloud.

        Args:
            cloud: a cloud, or an embedding of one from `Predictor.embed`.
            progress: called after each batch with the number of clicks decoded and their total; the
                total is an estimate while a large cloud is processed look by look.
            cancelled: called between steps, each at most a batch long, once the device has finished
                the previous one; returning True stops the work.

        Returns:
            At most `config.max_instances` instances, highest score first, none below
            `config.min_score`. Of two masks that overlap, the one with the higher score is kept.
            With `PredictorConfig.geometry` the score is the probability that a mask is an object.
            Without, it is the geometric mean of predicted IoU and stability, which lets fewer
            masks through that are not objects than predicted IoU alone.

        Raises:
            CloudError: too few points are left to embed.
            CancelledError: `cancelled` returned True.
        """
        embedding = cloud if isinstance(cloud, Embedding) else self.predictor.embed(cloud)
        if self.predictor.config.geometry:
            steps = Steps(embedding.device, self.config.batch_mib * 2**20, cancelled)
            parts = PartProposals(self.predictor.choosing(), self.config)
            return parts.generate(embedding, progress, steps)
        work = _Work(self.model, self.config, embedding, progress, cancelled)
        rough = work.rough_masks()
        if len(rough.vote) == 0:
            return []
        return work.instances(work.decoded_again(*work.leaders(rough)))


class _RoughMasks(NamedTuple):
    """Masks at the l patch centres, on the model's device.

    Attributes:
        logits: (c, l).
        vote: (c,) predicted IoU times stability, at least LEAST_VOTE.
        click: (c,) index of the patch whose centre was clicked.
    """

    logits: Tensor
    vote: Tensor
    click: Tensor


class _Decoded(NamedTuple):
    """Masks (c, m) over the kept points, their scores (c,) and stability (c,), best first."""

    logits: Tensor
    scores: Tensor
    stability: Tensor


class _Work:
    """One call of `generate`; the steps in order."""

    def __init__(
        self,
        model: PointSAM,
        config: ProposalConfig,
        embedding: Embedding,
        progress: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.model, self.config, self.embedding = model, config, embedding
        self.patches = embedding.encoding.patches
        self.weight = embedding.center_counts.float()
        self.progress = progress
        self.steps = Steps(embedding.device, config.batch_mib * 2**20, cancelled)

    def rough_masks(self) -> _RoughMasks:
        """Decodes clicks all over the cloud and keeps the masks that are good enough."""
        centers = self.patches.centers[0]
        few = max(1, len(self.embedding.kept) // POINTS_A_CLICK)
        count = min(self.config.points, len(centers), few)
        clicks = torch.arange(count, device=centers.device)  # centres are in farthest point order
        parts: list[_RoughMasks] = []

        def decode(batch: slice) -> None:
            logits, ious = self._decode(clicks[batch, None], at_centers=True)
            parts.append(self._good_enough(logits, ious, clicks[batch]))
            if self.progress:
                self.progress(batch.stop, count)

        self._decode_in_batches(count, len(centers) * self.model.config.decoder.dim, decode)
        return _RoughMasks(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def leaders(self, rough: _RoughMasks) -> tuple[Tensor, Tensor]:
        """Merges the masks of each object around the best one.

        Returns:
            logits (k, l), the mean of the masks that agree, and clicks (k, CLICKS) on the object,
            as indices of patches.
        """
        overlap = self._overlaps(rough.logits > 0, self.weight)
        rank = rough.vote * self._consent(rough, overlap >= AGREE)
        rows = suppress(overlap, rank, AGREE)[: self.config.max_instances]
        self.steps.go_on()
        votes = torch.where(overlap[rows] >= AGREE, rank, 0.0)
        logits = (votes / votes.sum(1, keepdim=True)) @ rough.logits.clamp(-SURE, SURE)
        usable = (votes > 0) & (logits[:, rough.click] > 0)
        return logits, self._spread(rough.click, rough.click[rows], usable)

    def decoded_again(self, rough: Tensor, clicks: Tensor) -> _Decoded:
        """Decodes rough masks (k, l) and clicks (k, q) at every point; removes duplicates."""
        kept = len(self.embedding.kept)
        index, weight = self.patches.index[0], self.patches.weight[0]
        self.steps.go_on()
        masks = ops.interpolate(rough.t().contiguous(), index, weight).t().contiguous()
        logits, ious = rough.new_empty(len(rough), kept), rough.new_empty(len(rough))
        widest = max(self.model.config.patch_hidden) * self._prompt_points()

        def decode(batch: slice) -> None:
            decoded, iou = self._decode(clicks[batch], mask_logits=masks[None, batch])
            logits[batch], ious[batch] = decoded[:, 0], iou[:, 0]

        self._decode_in_batches(len(rough), widest, decode)
        counts = self.embedding.source_counts.float()
        stability = stability_of(logits, counts)
        scores = (ious * stability).clamp_min(0).sqrt()
        self.steps.go_on()
        good = (logits > 0).any(1) & (scores >= self.config.min_score)
        rows = good.nonzero()[:, 0]
        overlap = self._overlaps(logits[rows] > 0, counts)
        stay = rows[suppress(overlap, scores[rows], self.config.nms_iou)]
        return _Decoded(logits[stay], scores[stay], stability[stay])

    def instances(self, decoded: _Decoded) -> list[Instance]:
        """The instances of cleaned masks, without supporting planes."""
        if len(decoded.scores) == 0:
            return []
        cloud = self.embedding.kept
        surface = NeighbourGraph(cloud.kept.points) if self.config.piece_share > 0 else None
        found: list[Instance] = []

        def find(batch: slice) -> None:
            masks = decoded.logits[batch] > 0
            if surface is not None:
                masks = surface.cleaned(masks, self.config.piece_share)
            numbers = decoded.scores[batch], decoded.stability[batch]
            some = instances_of(SourceMasks.of(self.embedding, masks, *numbers))
            found.extend([instance for instance in some if self._is_object(instance)])

        held = PIECE_BYTES * len(cloud) + ROW_BYTES * self.embedding.size
        self.steps.in_batches(len(decoded.scores), held, find, INSTANCES_AT_ONCE)
        return found

    def _decode(
        self, clicks: Tensor, mask_logits: Tensor | None = None, *, at_centers: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Logits (p, c, l or m) and predicted IoUs (p, c) of clicks (p, q) on patch centres."""
        coords = self.patches.centers[0][clicks]
        return decode_clicks(self.model, self.embedding, coords, mask_logits, at_centers=at_centers)

    def _good_enough(self, logits: Tensor, ious: Tensor, clicks: Tensor) -> _RoughMasks:
        """Those of masks (p, 3, l) with a fitting size, predicted IoU and stability."""
        stability = stability_of(logits, self.weight)
        share = (logits > 0).float() @ self.weight / self.weight.sum()
        good = (share > 0) & (share <= self.config.max_share)
        good &= ious >= min(ROUGH_IOU, self.config.min_score)
        good &= stability >= self.config.min_stability
        vote = (ious * stability).clamp_min(LEAST_VOTE)
        click, mask = good.nonzero(as_tuple=True)  # the only place where the host waits
        return _RoughMasks(logits[click, mask], vote[click, mask], clicks[click])

    def _overlaps(self, masks: Tensor, weight: Tensor) -> Tensor:
        """IoU (c, c) of masks (c, l) with each other."""
        parts = []
        for some in masks.split(OVERLAPS_AT_ONCE):
            self.steps.go_on()
            parts.append(overlaps(some, masks, weight))
        return torch.cat(parts)

    def _prompt_points(self) -> int:
        """Number of points, over all patches, that a mask prompt is encoded from."""
        patches, size = self.patches.groups[0].shape
        return patches * min(size, self.model.config.mask_patch_size or size)

    def _consent(self, rough: _RoughMasks, agree: Tensor) -> Tensor:
        """(c,) share of the clicks inside a mask that gave a mask agreeing with it."""
        made = torch.nn.functional.one_hot(rough.click, rough.logits.shape[1]).float()
        inside = rough.logits > 0
        clicked = made.amax(0)
        shares = []
        for some, within in zip(
            agree.split(OVERLAPS_AT_ONCE), inside.split(OVERLAPS_AT_ONCE), strict=True
        ):
            self.steps.go_on()
            consenting = ((some.float() @ made) > 0) & within
            shares.append(consenting.sum(1) / (within.float() @ clicked).clamp_min(1))
        self.steps.go_on()
        return torch.cat(shares)

    def _spread(self, click: Tensor, first: Tensor, usable: Tensor) -> Tensor:
        """Picks (k, CLICKS) of the clicks (c,) where usable (k, c), each far from the earlier."""
        centers = self.patches.centers[0]
        chosen = [first]
        left = torch.where(usable, torch.inf, 0.0)
        for _ in range(CLICKS - 1):
            step = (centers[click] - centers[chosen[-1]][:, None]).square().sum(-1)
            left = torch.minimum(left, step)
            farthest, row = left.max(1)
            chosen.append(torch.where(farthest > 0, click[row], chosen[-1]))
        return torch.stack(chosen, 1)

    def _is_object(self, instance: Instance) -> bool:
        """Whether an instance is large enough and not a supporting plane."""
        size = len(instance.indices)
        if size < self.config.min_points:
            return False
        return size / self._seen <= self.config.max_flat_share or not is_flat(instance.points)

    @cached_property
    def _seen(self) -> int:
        """Number of source points that can be in a mask."""
        return int(self.embedding.source_counts.sum())

    def _decode_in_batches(self, count: int, features: int, work: Callable[[slice], None]) -> None:
        """Runs `work` on batches of objects, each with so many point features in the decoder."""
        size = self.model.pc_encoder.out_proj.weight.element_size()
        self.steps.in_batches(count, features * size * TENSORS, work)
