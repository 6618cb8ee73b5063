"""Point-SAM: the parts put together (paper, section 3 and figure 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointsam_model import ops
from pointsam_model.config.model import ModelConfig
from pointsam_model.nn.cloud_encoder import CloudEncoder
from pointsam_model.nn.graphs import Graphs
from pointsam_model.nn.mask_decoder import DecodedMasks, MaskDecoder
from pointsam_model.nn.nearest_clicks import NearestClicks
from pointsam_model.nn.patches import Patches
from pointsam_model.nn.prompt_encoder import ClickEncoder, MaskEncoder
from pointsam_model.nn.two_way import CloudView

GRAPHED_OBJECTS = 4  # decoded as a graph; of more at once, each kernel has enough to do
LEAST_STEP = 256  # between the numbers of points that are padded to


@dataclass(frozen=True)
class CloudEncoding:
    """The encoding of b clouds, reused for all prompts.

    Attributes:
        patches: the clouds' geometry.
        embedding: (b, l, d), the encoder's output.
        position: (b, l, d) float32, positional encoding of the patch centres.
        first_view: projections of the decoder's first layer, for one cloud without a mask prompt;
            None: not cached.
    """

    patches: Patches
    embedding: Tensor
    position: Tensor
    first_view: CloudView | None = None


class PointSAM(nn.Module):
    """Promptable segmentation of point clouds: encode once, decode for every prompt.

    Attributes:
        graphs: runs encoding and decoding as CUDA graphs, without gradients and as long as the
            weights are not moved; None: layer by layer.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.pc_encoder = CloudEncoder(config)
        self.point_encoder = ClickEncoder(config.decoder.dim, config.click_features)
        self.mask_encoder = MaskEncoder(
            config.patch_hidden, config.decoder.dim, config.mask_patch_size
        )
        self.mask_decoder = MaskDecoder(config.decoder, config.num_multimask, config.negative_masks)
        dim = config.decoder.dim
        self.nearest_clicks = NearestClicks(dim) if config.relative_positions else None
        self.graphs: Graphs | None = None
        self.checkpoint: Path | None = None  # the file that its weights were read from

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.pc_encoder.out_proj.weight.device

    def encode(self, patches: Patches, features: Tensor) -> CloudEncoding:
        """Embeds b clouds.

        Args:
            patches: their geometry, from coordinates in the unit sphere (`make_patches`).
            features: (b, n, f) float32, colours in [-1, 1]; 0 where there is none.
        """
        features = self.pc_encoder.by_patch(patches, features)
        embedding, position = self._run(
            "encode", self._encode, patches.offsets, features, patches.centers
        )
        return CloudEncoding(patches, embedding, position)

    def keep_first_view(self, encoding: CloudEncoding) -> CloudEncoding:
        """Adds to the encoding of one cloud what all its first clicks share (`first_view`)."""
        if self.nearest_clicks is not None:
            return encoding  # each click has an embedding of its own
        view = self._run("first view", self._first_view, encoding.embedding, encoding.position)
        return replace(encoding, first_view=CloudView(*view))

    def decode(
        self,
        encoding: CloudEncoding,
        clicks: Tensor,
        labels: Tensor,
        *,
        visible: Tensor | None = None,
        mask_logits: Tensor | None = None,
        multimask: bool = False,
        at_centers: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Decodes the masks of m objects in each of the b encoded clouds.

        Args:
            clicks: (b, m, q, 3) float32, in the unit sphere.
            labels: (b, m, q), 1 on the object, 0 off it.
            visible: (b, m, q) bool, False where a click is padding; None: no padding.
            mask_logits: (b, m, n) float32, the mask prompts; None: none.
            multimask: whether to decode three masks, for an ambiguous click, or one.
            at_centers: logits at the l patch centres only, many times cheaper than at n points.

        Returns:
            logits (b, m, c, n or l) float32, above 0 in the mask;
            predicted IoUs (b, m, c) float32, the raw output of the head.
        """
        patches, view = encoding.patches, encoding.first_view
        asked = self._asked(encoding, clicks, labels, visible)
        if not at_centers:
            asked = asked._replace(index=patches.index, weight=patches.weight)
        if mask_logits is not None:
            groups, offsets = self.mask_encoder.nearest(patches)
            asked = asked._replace(groups=groups, offsets=offsets, mask_logits=mask_logits)
        elif view is not None:
            asked = asked._replace(keys=view.keys, values=view.values, queries=view.queries)
        if not self._graphed(clicks) or clicks.shape[1] > GRAPHED_OBJECTS:
            return self._decode(*asked, multimask=multimask)
        n = patches.index.shape[1]
        asked = asked.padded(padded_size(n))
        decode = partial(self._decode, multimask=multimask)
        logits, ious = self._run(f"decode, multimask={multimask}", decode, *asked)
        return logits[..., : n if not at_centers else None], ious

    def answer(
        self,
        encoding: CloudEncoding,
        clicks: Tensor,
        labels: Tensor,
        *,
        mask_logits: Tensor | None = None,
        multimask: bool = False,
        click_masks: bool = False,
    ) -> DecodedMasks:
        """`decode` without its last part, the logits at points, which `masks_of` computes.

        Args:
            click_masks: whether each click also gets its own mask (`MaskDecoder.answer`).
        """
        asked = self._asked(encoding, clicks, labels, None)
        if mask_logits is not None:
            groups, offsets = self.mask_encoder.nearest(encoding.patches)
            asked = asked._replace(groups=groups, offsets=offsets, mask_logits=mask_logits)
        return self._answer(asked, multimask, click_masks)

    def _asked(
        self, encoding: CloudEncoding, clicks: Tensor, labels: Tensor, visible: Tensor | None
    ) -> _Asked:
        asked = _Asked(encoding.embedding, encoding.position, clicks, labels, visible)
        if self.nearest_clicks is not None:
            asked = asked._replace(centers=encoding.patches.centers)
        if not self.config.click_features:
            return asked
        table = ops.interpolation_table(clicks.flatten(1, 2), encoding.patches.centers)
        seen = ops.interpolate(encoding.embedding, *table)
        return asked._replace(seen=seen.view(*clicks.shape[:3], -1))

    def masks_of(
        self, answer: DecodedMasks, patches: Patches, rows: Tensor | None = None
    ) -> Tensor:
        """Logits (b, m, c, n) float32 at all points, or (b, m, c, p) at rows (b, m, p) only."""
        if rows is None:
            table = patches.index, patches.weight
            return self.mask_decoder.masks(answer.points, answer.heads, table)
        cloud = torch.arange(len(rows), device=rows.device)[:, None, None]
        table = patches.index[cloud, rows], patches.weight[cloud, rows]
        return self.mask_decoder.masks_at(answer.points, answer.heads, table)

    def _graphed(self, tensor: Tensor) -> bool:
        """Whether functions of this run as graphs."""
        return self.graphs is not None and len(tensor) == 1 and not torch.is_grad_enabled()

    def _run(
        self, name: str, function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor | None
    ) -> tuple[Tensor, ...]:
        first = inputs[0]
        assert first is not None
        if self.graphs is not None and self._graphed(first):
            return self.graphs(name, function, *inputs)
        return function(*inputs)

    # What runs as graphs: nothing in it depends on values of tensors, or waits for the device.

    def _encode(self, offsets: Tensor, features: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
        position = self.point_encoder.pe_layer(centers)
        return self.pc_encoder.embed(offsets, features, centers), position

    def _first_view(self, embedding: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        points = embedding + self.mask_encoder.no_mask_embed.weight
        view = self.mask_decoder.transformer.view(points, position.to(points.dtype))
        return view.keys, view.values, view.queries

    def _decode(self, *inputs: Any, multimask: bool) -> tuple[Tensor, Tensor]:
        asked = _Asked(*inputs)
        answer = self._answer(asked, multimask)
        table = None if asked.index is None else (asked.index, asked.weight)
        return self.mask_decoder.masks(answer.points, answer.heads, table), answer.ious

    def _answer(self, asked: _Asked, multimask: bool, click_masks: bool = False) -> DecodedMasks:
        points = asked.embedding[:, None]
        if asked.mask_logits is None:
            points = points + self.mask_encoder.no_mask_embed.weight
        else:
            points = points + self.mask_encoder.embed(
                asked.groups, asked.offsets, asked.mask_logits
            )
        if self.nearest_clicks is not None:
            points = points + self.nearest_clicks(
                asked.centers, asked.clicks, asked.labels, asked.visible
            )
        b, m = asked.clicks.shape[:2]
        seen = None if asked.seen is None else asked.seen.flatten(0, 1)
        clicks = self.point_encoder(asked.clicks.flatten(0, 1), asked.labels.flatten(0, 1), seen)
        return self.mask_decoder.answer(
            points,
            asked.position,
            clicks.unflatten(0, (b, m)),
            asked.visible,
            multimask,
            None if asked.keys is None else CloudView(asked.keys, asked.values, asked.queries),
            click_masks,
        )


class _Asked(NamedTuple):
    """What is decoded: tensors of `CloudEncoding` and of `PointSAM.decode`.

    `seen` is there where clicks carry features, `centers` where positions are relative. All of
    `keys` to `queries`, of `groups` to `mask_logits`, and of `index` and `weight` are there, or
    none of them.
    """

    embedding: Tensor
    position: Tensor
    clicks: Tensor
    labels: Tensor
    visible: Tensor | None
    seen: Any = None
    centers: Any = None
    keys: Any = None
    values: Any = None
    queries: Any = None
    groups: Any = None
    offsets: Any = None
    mask_logits: Any = None
    index: Any = None
    weight: Any = None

    def padded(self, size: int) -> _Asked:
        """With so many points, of which those beyond the cloud's have weight 0."""
        if self.index is None or self.index.shape[1] == size:
            return self
        beyond = size - self.index.shape[1]
        logits = self.mask_logits
        return self._replace(
            index=F.pad(self.index, (0, 0, 0, beyond)),
            weight=F.pad(self.weight, (0, 0, 0, beyond)),
            mask_logits=None if logits is None else F.pad(logits, (0, beyond)),
        )


def padded_size(n: int) -> int:
    """The number of points that n are padded to: one of four for each power of two."""
    step = max(LEAST_STEP, 1 << max(n.bit_length() - 3, 0))
    return -(-n // step) * step
