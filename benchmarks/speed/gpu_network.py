"""The network on a GPU: what embedding, clicks and proposals take, beside the published way.

Ours is bfloat16 with CUDA graphs, and the same layer by layer; the published way is float32 over
the same weights, with dense distances, and embeds its cloud anew at each click. They take turns on
random clouds. Two floors stand beside each time: the arithmetic (its multiplications and additions
at the rate of a large bfloat16 matrix product, measured in the same run) and the memory (weights,
inputs and results read or written once, at the rate of a plain copy). `large` has random weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.clouds import surface_cloud
from benchmarks.speed.network import Size
from benchmarks.speed.published import PublishedPointSAM
from pointsam_model import (
    Cloud,
    CloudLayout,
    Predictor,
    PredictorConfig,
    ProposalConfig,
    ProposalGenerator,
    ReductionConfig,
    load_model,
)
from pointsam_model.config.model import WEIGHTS, preset
from pointsam_model.device.batches import batch_bytes, in_batches
from pointsam_model.instances.overlaps import overlaps, suppress
from pointsam_model.nn import CloudEncoding, PointSAM, make_patches
from pointsam_model.segment.prediction import stability_of
from pointsam_model.segment.voting import decode_clicks
from pointsam_model.weights.saving import save_checkpoint

Timer = Callable[[Callable[[], Any]], float]

STAGES = ("embed", "first click", "refining click")
PROMPTS, BEST, SUPPRESSED = 1024, 250, 0.7
HELD = 12  # tensors of a decoder batch as large as its point features


@dataclass(frozen=True)
class Case:
    """A model at a size, and the goals of its stages [ms]."""

    model: str
    size: Size
    goals: tuple[float | None, float | None, float | None] = (None, None, None)


CASES = (
    Case("large", Size(10_000, 512, 64), (4.0, 1.0, 1.2)),
    Case("large", Size(32_768, 2_048, 256), (10.0, 1.5, 3.0)),
    Case("tiny", Size(10_000, 512, 64)),
    Case("tiny", Size(32_768, 2_048, 256)),
)


@dataclass(frozen=True)
class Effort:
    """How often each work is timed, and how large the product is that tells the chip's rate."""

    repeats: int = 50
    published_repeats: int = 5
    product: int = 8192
    prompts: int = PROMPTS


@dataclass(frozen=True)
class NetworkTiming:
    """One work. Times in milliseconds, None where there is no such way, or no goal.

    Attributes:
        graphs_ms: ours; layers_ms: ours without CUDA graphs. compared_ms: the other way.
        arithmetic_ms, memory_ms: floors.
        right: the ways agree.
    """

    work: str
    graphs_ms: float
    layers_ms: float | None
    compared_ms: float | None
    arithmetic_ms: float | None
    memory_ms: float | None
    goal_ms: float | None
    right: bool


def measure_network(
    device: torch.device,
    cases: tuple[Case, ...],
    effort: Effort,
    timer: Timer,
    bytes_per_ms: float,
    message: tuple[bytes, CloudLayout],
    say: Callable[[str], None],
) -> list[NetworkTiming]:
    """Times every case, a message's way to its embedding, and the proposals of the largest case.

    Args:
        timer: milliseconds of a work on the device.
        bytes_per_ms: what the memory gives to a copy, read and written.
        message: bytes and layout of a sensor's cloud.
        say: told what is being done.
    """
    flops_per_ms = _flops_per_ms(device, effort.product, timer)
    timings = []
    for case in cases:
        with _Contest(case, device, say) as contest:
            timings += contest.stages(effort, timer, flops_per_ms, bytes_per_ms)
            if case is max(cases, key=_work):
                timings.append(contest.proposals(effort, timer))
    say("a message's bytes to its embedding")
    timings.append(_message_to_embedding(device, effort, timer, bytes_per_ms, message))
    return timings


def _work(case: Case) -> tuple[bool, int]:
    return case.model == "large", case.size.num_patches


class _Contest:
    """Both ways over the same weights and cloud."""

    def __init__(self, case: Case, device: torch.device, say: Callable[[str], None]) -> None:
        self._case, self._device, self._say = case, device, say

    def __enter__(self) -> _Contest:
        case, device = self._case, self._device
        self._say(f"{case.model}: weights")
        config = preset(case.model)
        with _weights(case.model) as file:
            self._ours = load_model(case.model, file, device=str(device), dtype="bfloat16")
            weights = {name: each.to(device).float() for name, each in load_file(file).items()}
        self._graphs = self._ours.graphs
        self._published = PublishedPointSAM(weights, config)
        coords, colors = surface_cloud(case.size.points)
        self._coords, self._colors = coords.to(device), colors.to(device)
        self._clicks = self._coords[[0, case.size.points // 2]]
        self._labels = torch.tensor([1, 0], device=device)
        return self

    def __exit__(self, *_: object) -> None:
        del self._ours, self._graphs, self._published

    @torch.inference_mode()
    def stages(
        self, effort: Effort, timer: Timer, flops_per_ms: float, bytes_per_ms: float
    ) -> list[NetworkTiming]:
        case, model = self._case, self._ours
        encoding = self._embed()
        mask = self._decode(encoding, None)[0][0, 0, :1]
        theirs = self._published_embed()
        works: tuple[tuple[Callable[[], Any], Callable[[], Any], tuple[Any, ...]], ...] = (
            (
                self._embed,
                self._published_embed,
                (model.pc_encoder, self._coords, self._colors, encoding),
            ),
            (
                partial(self._decode, encoding, None),
                partial(self._published_click, None),
                (model.mask_decoder, encoding.embedding, encoding.patches.index, mask, mask, mask),
            ),
            (
                partial(self._decode, encoding, mask),
                partial(self._published_click, mask[0]),
                (
                    model.mask_decoder,
                    model.mask_encoder,
                    encoding.embedding,
                    encoding.patches,
                    mask,
                ),
            ),
        )
        right = self._agree(encoding, mask, theirs)
        timings = []
        for stage, goal, (ours, published, touched) in zip(STAGES, case.goals, works, strict=True):
            self._say(f"{case.model}, {case.size}: {stage}")
            with self._layer_by_layer(), FlopCounterMode(display=False) as counter:
                ours()
            graphs, layers, compared = [], [], []
            published()
            for turn in range(effort.repeats):
                graphs.append(timer(ours))
                with self._layer_by_layer():
                    layers.append(timer(ours))
                if turn < effort.published_repeats:
                    compared.append(timer(published))
            timings.append(
                NetworkTiming(
                    f"{case.model}, {case.size}: {stage}",
                    median(graphs),
                    median(layers),
                    median(compared),
                    counter.get_total_flops() / flops_per_ms,
                    _nbytes(touched) / bytes_per_ms,
                    goal,
                    right,
                )
            )
        return timings

    @torch.inference_mode()
    def proposals(self, effort: Effort, timer: Timer) -> NetworkTiming:
        """Everything in the cloud: ours, and every mask of every prompt decoded at all points."""
        case = self._case
        self._say(f"{case.model}, {case.size}: proposals")
        predictor = PredictorConfig(
            case.size.num_patches, case.size.patch_size, geometry=False, looks="whole"
        )
        # Random weights give masks no score to be chosen by; all are to be worked on.
        every = ProposalConfig(
            points=effort.prompts,
            min_score=-1e9,
            min_stability=0.0,
            nms_iou=SUPPRESSED,
            max_instances=BEST,
            min_points=1,
            max_share=1.0,
            max_flat_share=1.0,
            piece_share=0.0,
        )
        reduction = ReductionConfig(max_points=case.size.points)
        generator = ProposalGenerator(self._ours, every, predictor, reduction)
        embedding = generator.predictor.embed(Cloud(self._coords.cpu().numpy() + 2.0))
        ours, plain = partial(generator.generate, embedding), partial(self._all_masks, embedding)
        found, best = ours(), plain(effort.prompts)
        fast = [timer(ours) for _ in range(effort.published_repeats)]
        slow = [timer(partial(plain, effort.prompts)) for _ in range(effort.published_repeats)]
        return NetworkTiming(
            f"{case.model}: {effort.prompts:,} prompts x 3 masks on {case.size.points:,} points, "
            f"scored, suppressed, the best {BEST}; beside all masks at all points",
            median(fast),
            None,
            median(slow),
            None,
            None,
            150.0 if effort.prompts == PROMPTS else None,
            len(found) <= BEST and 0 < len(best) <= BEST,
        )

    def _all_masks(self, embedding: Any, prompts: int) -> Tensor:
        """The rows that suppression leaves of all masks of clicks on patch centres."""
        model, counts = self._ours, embedding.source_counts.float()
        clicks = embedding.encoding.patches.centers[0, :prompts, None]
        parts: list[tuple[Tensor, Tensor]] = []

        def decode(rows: slice) -> None:
            logits, scores = decode_clicks(model, embedding, clicks[rows])
            logits, scores = logits.flatten(0, 1), scores.flatten()
            parts.append((logits > 0, scores * stability_of(logits, counts)))

        size = len(embedding.kept) * model.config.decoder.dim * 2 * HELD
        in_batches(len(clicks), max(1, batch_bytes(self._device, 2**28) // size), decode)
        masks, ranks = (torch.cat(each) for each in zip(*parts, strict=True))
        return suppress(overlaps(masks, masks, counts), ranks, SUPPRESSED)[:BEST]

    def _embed(self) -> CloudEncoding:
        size = self._case.size
        patches = make_patches(self._coords[None], size.num_patches, size.patch_size)
        return self._ours.keep_first_view(self._ours.encode(patches, self._colors[None]))

    def _decode(self, encoding: CloudEncoding, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        count = 1 if mask is None else 2
        return self._ours.decode(
            encoding,
            self._clicks[None, None, :count],
            self._labels[None, None, :count],
            mask_logits=None if mask is None else mask[None],
            multimask=mask is None,
        )

    def _published_embed(self) -> Any:
        size = self._case.size
        colors = self._colors * self._ours.config.color_gain
        return self._published.embed(self._coords, colors, size.num_patches, size.patch_size)

    def _published_click(self, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        count = 1 if mask is None else 2
        return self._published.decode(
            self._published_embed(), self._clicks[:count], self._labels[:count], mask, mask is None
        )

    @contextmanager
    def _layer_by_layer(self) -> Iterator[None]:
        self._ours.graphs = None
        try:
            yield
        finally:
            self._ours.graphs = self._graphs

    def _agree(self, encoding: CloudEncoding, mask: Tensor, theirs: Any) -> bool:
        """Graphs compute what layers do; bfloat16 what float32 does, as far as it can."""
        answers = []
        for prompt in (None, mask):
            graphs = self._decode(encoding, prompt)[0]
            with self._layer_by_layer():
                layers = self._decode(encoding, prompt)[0]
            answers.append(torch.allclose(graphs, layers, rtol=0.02, atol=0.02))
        exact, _ = self._published.decode(theirs, self._clicks[:1], self._labels[:1], None, True)
        ours = self._decode(encoding, None)[0][0, 0]
        answers.append(float((ours - exact).norm() / exact.norm()) < 0.1)
        return all(answers)


def _message_to_embedding(
    device: torch.device,
    effort: Effort,
    timer: Timer,
    bytes_per_ms: float,
    message: tuple[bytes, CloudLayout],
) -> NetworkTiming:
    data, layout = message
    alone = PredictorConfig(geometry=False, looks="whole")
    predictor = Predictor(load_model("tiny", device=str(device), dtype="bfloat16"), alone)
    exact = Predictor(load_model("tiny", device=str(device), cuda_graphs=False), alone)

    def embed(way: Predictor) -> Any:
        return way.embed(Cloud.from_buffer(data, layout, way.device))

    ours, right = embed(predictor), embed(exact)
    tokens, expected = (each.encoding.embedding.float() for each in (ours, right))
    off = float((tokens - expected).norm() / expected.norm())
    times = [timer(partial(embed, predictor)) for _ in range(effort.repeats)]
    graphs, predictor.model.graphs = predictor.model.graphs, None
    layers = [timer(partial(embed, predictor)) for _ in range(effort.repeats)]
    predictor.model.graphs = graphs
    floats = [timer(partial(embed, exact)) for _ in range(effort.published_repeats)]
    return NetworkTiming(
        f"tiny: message of {layout.width} x {layout.height} points -> embedding, beside float32",
        median(times),
        median(layers),
        median(floats),
        None,
        (len(data) + _nbytes((predictor.model.pc_encoder, ours.encoding))) / bytes_per_ms,
        8.0 if layout.width * layout.height == 307_200 else None,
        off < 0.1,
    )


@contextmanager
def _weights(model: str) -> Iterator[Path]:
    """A file of the model's weights: the shipped ones, or random ones."""
    shipped = WEIGHTS / f"{model}.safetensors"
    if shipped.exists():
        yield shipped
        return
    torch.manual_seed(0)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "random.safetensors"
        save_checkpoint(PointSAM(preset(model)), file)
        yield file


def _flops_per_ms(device: torch.device, side: int, timer: Timer) -> float:
    """Of a product of two square matrices in bfloat16."""
    square = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    torch.mm(square, square)
    return 2 * side**3 / median(timer(lambda: torch.mm(square, square)) for _ in range(9))


def _nbytes(part: Any) -> int:
    """Of all tensors in it."""
    if isinstance(part, Tensor):
        return part.numel() * part.element_size()
    if isinstance(part, nn.Module):
        return sum(map(_nbytes, part.parameters()))
    if isinstance(part, tuple):
        return sum(map(_nbytes, part))
    return 0 if part is None else sum(_nbytes(getattr(part, field.name)) for field in fields(part))
