"""Embedding, first click and refining click of the network, beside the published way.

Both have the same random weights and see the same cloud. They take turns, so that whatever else the
machine does meets both; medians are reported. The published way embeds the cloud anew at each
click: its embedding is timed once a round and counted in each of the round's clicks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.speed.clouds import surface_cloud
from benchmarks.speed.memory import peak_memory_mib
from benchmarks.speed.published import PublishedPointSAM
from pointsam_model import load_model
from pointsam_model.config.model import preset
from pointsam_model.nn import PointSAM, make_patches
from pointsam_model.weights.saving import save_checkpoint

PUBLISHED = "published"
OURS = "ours"
STAGES = ("embed", "first click", "refining click")
DECODING = ("first decoding", "refining decoding")  # a click without the embedding of its cloud


@dataclass(frozen=True)
class Size:
    """A cloud's points, and the patches it is cut into."""

    points: int
    num_patches: int
    patch_size: int

    def __str__(self) -> str:
        return f"{self.points:,} points, {self.num_patches} x {self.patch_size}"


SIZES = (Size(10_000, 512, 64), Size(32_768, 2_048, 256))
WARM_UP = Size(2_000, 128, 32)


@dataclass(frozen=True)
class Effort:
    """Rounds of all contenders: at least `least`, then more while `seconds` have not passed."""

    least: int = 3
    most: int = 9
    seconds: float = 20.0


@dataclass(frozen=True)
class Result:
    """What one contender needed.

    Attributes:
        model: preset or path of a config. way: published or ours. dtype: of the weights.
        seconds: by stage, the median over the rounds.
        every: by stage, each round's.
        peak_mib: memory needed beyond the weights, None where the system does not tell.
        logits_differ: greatest difference of a first click's logits from the published way's.
    """

    model: str
    size: Size
    way: str
    dtype: str
    seconds: dict[str, float]
    every: dict[str, list[float]]
    peak_mib: float | None
    logits_differ: float


def measure(
    model: str, sizes: Sequence[Size], effort: Effort, say: Callable[[str], None]
) -> list[Result]:
    """Times the published way and ours in float32 and bfloat16 at each size, in turns.

    Args:
        model: preset or path of a JSON config.
        say: told what is being done.
    """
    say(f"{model}: making weights")
    contenders = _contenders(model)
    results = []
    for contender in contenders:
        contender.round(WARM_UP)
    for size in sizes:
        rounds: dict[_Contender, list[_Round]] = {contender: [] for contender in contenders}
        started = time.monotonic()
        for number in range(effort.most):
            if number >= effort.least and time.monotonic() - started > effort.seconds:
                break
            for contender in contenders:
                say(f"{model}, {size}: {contender.way} {contender.dtype}, round {number + 1}")
                rounds[contender].append(contender.round(size))
        results += [_result(model, size, each, rounds) for each in contenders]
    return results


@dataclass(frozen=True)
class _Round:
    seconds: dict[str, float]
    peak_mib: float | None
    logits: Tensor  # (3, n) of the first click


class _Contender:
    """One way of computing: how it embeds a cloud, and how it decodes a click on what that gave."""

    def __init__(
        self,
        way: str,
        dtype: str,
        embed: Callable[[Tensor, Tensor, Size], Any],
        decode: Callable[[Any, Tensor, Tensor, Tensor | None, bool], Tensor],
    ) -> None:
        self.way, self.dtype = way, dtype
        self._embed, self._decode = embed, decode

    def round(self, size: Size) -> _Round:
        """Embeds a cloud, clicks once, refines with a second click and the first's mask."""
        coords, colors = surface_cloud(size.points)
        clicks, labels = coords[[0, size.points // 2]], torch.tensor([1, 0])
        seconds: dict[str, float] = {}

        def timed(stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
            started = time.perf_counter()
            result = work(*arguments)
            seconds[stage] = time.perf_counter() - started
            return result

        with peak_memory_mib() as peak:
            cloud = timed("embed", self._embed, coords, colors, size)
            logits = timed(
                "first decoding", self._decode, cloud, clicks[:1], labels[:1], None, True
            )
            timed("refining decoding", self._decode, cloud, clicks, labels, logits[0], False)
        again = seconds["embed"] if self.way == PUBLISHED else 0.0
        for stage, decoding in zip(STAGES[1:], DECODING, strict=True):
            seconds[stage] = again + seconds[decoding]
        return _Round(seconds, peak.mib, logits)


def _contenders(model: str) -> list[_Contender]:
    """The published way and ours in both precisions, over the same random weights."""
    config = preset(model)
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "random.safetensors"
        save_checkpoint(PointSAM(config), file)
        published = PublishedPointSAM(load_file(file), config)
        networks = {
            dtype: load_model(model, file, device="cpu", dtype=dtype)
            for dtype in ("float32", "bfloat16")
        }

    def embed(coords: Tensor, colors: Tensor, size: Size) -> Any:
        return published.embed(coords, colors, size.num_patches, size.patch_size)

    def decode(*prompt: Any) -> Tensor:
        return published.decode(*prompt)[0]

    ours = [
        _Contender(OURS, dtype, _embed_with(network), _decode_with(network))
        for dtype, network in networks.items()
    ]
    return [_Contender(PUBLISHED, "float32", embed, decode), *ours]


def _embed_with(network: PointSAM) -> Callable[[Tensor, Tensor, Size], Any]:
    @torch.inference_mode()
    def embed(coords: Tensor, colors: Tensor, size: Size) -> Any:
        patches = make_patches(coords[None], size.num_patches, size.patch_size)
        return network.encode(patches, colors[None])

    return embed


def _decode_with(
    network: PointSAM,
) -> Callable[[Any, Tensor, Tensor, Tensor | None, bool], Tensor]:
    @torch.inference_mode()
    def decode(
        cloud: Any, clicks: Tensor, labels: Tensor, mask: Tensor | None, multimask: bool
    ) -> Tensor:
        logits, _ = network.decode(
            cloud,
            clicks[None, None],
            labels[None, None],
            mask_logits=None if mask is None else mask[None, None],
            multimask=multimask,
        )
        return logits[0, 0]

    return decode


def _result(
    model: str, size: Size, contender: _Contender, rounds: dict[_Contender, list[_Round]]
) -> Result:
    own, yardstick = rounds[contender], next(iter(rounds.values()))
    every = {stage: [each.seconds[stage] for each in own] for stage in (*STAGES, *DECODING)}
    peaks = [each.peak_mib for each in own if each.peak_mib is not None]
    return Result(
        model,
        size,
        contender.way,
        contender.dtype,
        {stage: median(times) for stage, times in every.items()},
        every,
        max(peaks) if peaks else None,
        float((own[0].logits - yardstick[0].logits).abs().max()),
    )
