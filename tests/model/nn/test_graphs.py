"""CUDA graphs: what is captured and replayed, and that it could be: nothing waits for the device.

Without a GPU, graphs are captured and replayed by a stand-in as strict as CUDA: a capture refuses
every operation that waits for the device, and a replay knows only the captured tensors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from backends import ON_A_GPU
from places import TINY as FOLDER
from published import PUBLISHED
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pointsam_model import Cloud, Embedding, Predictor, Prompt, load_model
from pointsam_model.config.model import preset
from pointsam_model.nn import PointSAM, make_patches, mask_decoder, patch_embed
from pointsam_model.nn.graphs import CudaBackend, Function, Graphs, Inputs, Outputs
from pointsam_model.nn.point_sam import GRAPHED_OBJECTS, padded_size
from pointsam_model.training.growing import PARTS

# They bring values to the host, have a size that depends on them, or send something up.
WAITING = {
    "aten::_local_scalar_dense",
    "aten::_unique2",
    "aten::bincount",
    "aten::equal",
    "aten::is_nonzero",
    "aten::item",
    "aten::lift_fresh",
    "aten::masked_select",
    "aten::nonzero",
    "aten::repeat_interleave",
    "aten::unique_consecutive",
}


class NothingWaits(TorchDispatchMode):
    """Refuses what would have a GPU and its host wait for each other, `but` for some."""

    def __init__(self, *but: str) -> None:
        super().__init__()
        self._waiting = WAITING - set(but)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().split(".")[0]
        indices = args[1] if name in ("aten::index", "aten::index_put_") else ()
        if name in self._waiting or any(
            each is not None and each.dtype == torch.bool for each in indices
        ):
            raise RuntimeError(f"operation not permitted when stream is capturing: {func.name()}")
        return func(*args, **(kwargs or {}))


class StrictBackend:
    """Captures and replays on a CPU."""

    def __init__(self) -> None:
        self.captures: list[Inputs] = []
        self.replays = 0
        self._turn: int | None = None

    def capture(self, function: Function, inputs: Inputs) -> tuple[Callable[[], None], Outputs]:
        assert self._turn == threading.get_ident()
        assert not torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
        with NothingWaits():
            outputs = function(*inputs)
        self.captures.append(inputs)
        places = [None if each is None else each.data_ptr() for each in inputs]

        def replay() -> None:
            assert self._turn == threading.get_ident(), "another thread would overwrite the buffers"
            assert [None if each is None else each.data_ptr() for each in inputs] == places
            self.replays += 1
            for output, value in zip(outputs, function(*inputs), strict=True):
                output.copy_(value)

        return replay, outputs

    @contextmanager
    def turn(self) -> Iterator[None]:
        assert self._turn is None, "two threads at a time"
        self._turn = threading.get_ident()
        try:
            yield
        finally:
            self._turn = None

    def wait(self) -> None:
        assert self._turn is None


BACKENDS = pytest.mark.parametrize(
    "backend",
    [
        pytest.param((StrictBackend, "cpu"), id="stand-in"),
        pytest.param(
            (lambda: CudaBackend(torch.device("cuda", 0)), "cuda"), id="cuda", marks=ON_A_GPU
        ),
    ],
)


def double(x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
    return 2 * x, x if y is None else x + y


# The bookkeeping.


@BACKENDS
def test_shapes_that_come_again_are_replayed_and_results_are_the_callers_own(backend: Any) -> None:
    make, device = backend
    graphs = Graphs(make())
    results = []
    for number in range(4):
        x = torch.full((3,), float(number), device=device)
        results.append(graphs("double", double, x, torch.ones(3, device=device)))
    assert [twice.tolist() for twice, _ in results] == [[2.0 * n] * 3 for n in range(4)]
    assert [more.tolist() for _, more in results] == [[n + 1.0] * 3 for n in range(4)]
    assert len(graphs) == 1


def test_each_name_shape_type_and_absence_has_a_graph_of_its_own() -> None:
    backend = StrictBackend()
    graphs = Graphs(backend)
    x = torch.ones(3)
    for _ in range(2):
        graphs("double", double, x, x)
        graphs("another", double, x, x)
        graphs("double", double, x, None)
        graphs("double", double, torch.ones(4), torch.ones(4))
        graphs("double", double, x.double(), x.double())
    assert len(backend.captures) == len(graphs) == 5
    assert backend.replays == 10


def test_the_least_recently_used_graph_goes() -> None:
    backend = StrictBackend()
    graphs = Graphs(backend, most=2)
    for size in (1, 2, 1, 3, 1, 2):
        graphs("double", double, torch.ones(size), None)
    assert [inputs[0].numel() for inputs in backend.captures if inputs[0] is not None] == [
        1,
        2,
        3,
        2,
    ]
    assert len(graphs) == 2


def test_what_cannot_be_captured_runs_as_it_is_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    graphs = Graphs(StrictBackend())
    tries = []

    def waits(x: Tensor) -> tuple[Tensor]:
        tries.append(1)
        return (x[x > 0],)

    for _ in range(3):
        assert graphs("waits", waits, torch.tensor([-1.0, 2.0]))[0].tolist() == [2.0]
    assert len(tries) == 4, "captured once, run three times"
    (warning,) = caplog.records
    assert "waits" in warning.getMessage() and "capturing" in warning.getMessage()
    assert graphs("double", double, torch.ones(1), None)[0].item() == 2.0


def test_results_are_right_in_inference_mode_and_out_of_it() -> None:
    graphs = Graphs(StrictBackend())
    x = torch.ones(2)
    with torch.inference_mode():
        inside = graphs("double", double, x + 1, None)[0]
        assert inside.tolist() == [4.0, 4.0]
    assert graphs("double", double, inside, None)[0].tolist() == [8.0, 8.0]


@BACKENDS
def test_threads_take_turns(backend: Any) -> None:
    make, device = backend
    graphs = Graphs(make())

    def ask(number: int) -> bool:
        size = 1 + number % 3
        x = torch.full((size,), float(number), device=device)
        return graphs("double", double, x, None)[0].tolist() == [2.0 * number] * size

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(60)))


# The network.


@pytest.fixture(scope="module")
def cloud() -> Cloud:
    with np.load(FOLDER / "raw_input.npz", allow_pickle=False) as raw:
        return Cloud(raw["raw_xyz"], raw["raw_rgb"])


def model(device: str = "cpu", dtype: str = "float32", cuda_graphs: bool = False) -> PointSAM:
    folder = str(FOLDER / "config.json"), FOLDER / "weights.safetensors"
    return load_model(*folder, device=device, dtype=dtype, cuda_graphs=cuda_graphs)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers over all rows at once, as there."""
    for module in (mask_decoder, patch_embed):
        monkeypatch.setattr(module, "chunked", lambda where: False)


def conversation(predictor: Predictor, embedding: Embedding, cloud: Cloud) -> list[Any]:
    """One click, two more with its mask, two objects at once, several clicks without a mask."""
    at = cloud.xyz.astype(np.float64)
    (first,) = predictor.segment(embedding, [Prompt(at[[42]])])
    (second,) = predictor.segment(embedding, [Prompt(at[[42, 900]], [1, 0], first.best())])
    together = predictor.segment(embedding, [Prompt(at[[7]]), Prompt(at[[100, 30, 9]], [0, 1, 1])])
    (third,) = predictor.segment(
        embedding, [Prompt(at[[42, 900, 5]], [1, 0, 1], second.best().prompt())]
    )
    return [first, second, *together, third]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_predictor_with_graphs_answers_as_without(
    cloud: Cloud, dtype: str, as_on_a_gpu: None
) -> None:
    plain, graphed = (Predictor(model(dtype=dtype), PUBLISHED) for _ in range(2))
    backend = StrictBackend()
    graphed.model.graphs = Graphs(backend)
    expected = conversation(plain, plain.embed(cloud), cloud)
    for _ in range(2):
        answers = conversation(graphed, graphed.embed(cloud), cloud)
        for answer, right in zip(answers, expected, strict=True):
            assert answer.logits.shape == right.logits.shape
            np.testing.assert_allclose(answer.logits, right.logits, atol=2e-5)
            np.testing.assert_allclose(answer.scores, right.scores, atol=1e-5)
    assert len(backend.captures) == 5, "encoding, first view; decoding of one, two, three clicks"
    assert backend.replays == 2 * 8


def test_clouds_of_nearly_the_same_size_share_a_graph(cloud: Cloud, as_on_a_gpu: None) -> None:
    plain, graphed = Predictor(model(), PUBLISHED), Predictor(model(), PUBLISHED)
    backend = StrictBackend()
    graphed.model.graphs = Graphs(backend)
    for size in (1700, 1650, 1790):
        part = Cloud(cloud.xyz[:size], None if cloud.rgb is None else cloud.rgb[:size])
        click = Prompt(part.xyz[[10]].astype(np.float64))
        (answer,) = graphed.segment(graphed.embed(part), [click])
        (right,) = plain.segment(plain.embed(part), [click])
        assert answer.logits.shape == (3, size)
        np.testing.assert_allclose(answer.logits, right.logits, atol=2e-5)
    assert len(backend.captures) == 3, "encoding, first view, first click"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_a_model_was_given_runs_as_a_graph_too(part: str, cloud: Cloud) -> None:
    network = PointSAM(replace(preset(str(FOLDER / "config.json")), **{part: True}))
    for value in network.requires_grad_(False).parameters():
        torch.nn.init.normal_(value, std=0.2)  # else new parts give nothing
    points = torch.tensor(cloud.xyz[:1700])[None]
    points = points / points.norm(dim=-1).max()
    patches = make_patches(points, 32, 8)
    clicks, labels = points[:, [[3, 40]]], torch.tensor([[[1, 0]]])
    answers = []
    for graphs in (None, Graphs(StrictBackend())):
        network.graphs = graphs
        for _ in range(2):
            with torch.no_grad():
                encoding = network.keep_first_view(network.encode(patches, points))
                answers.append(network.decode(encoding, clicks, labels, multimask=True)[0])
    for answer in answers[1:]:
        torch.testing.assert_close(answer, answers[0], atol=1e-4, rtol=1e-4)


def test_sizes_are_padded_to_four_for_each_power_of_two() -> None:
    sizes = {padded_size(n) for n in range(2**13, 2**15 + 1)}
    assert sorted(sizes) == [8192, 10240, 12288, 14336, 16384, 20480, 24576, 28672, 32768]
    assert all(padded_size(n) >= n for n in range(3, 5000))
    assert padded_size(3) == padded_size(256) == 256


def test_many_objects_at_once_and_gradients_use_no_graph(cloud: Cloud) -> None:
    predictor, backend = Predictor(model(), PUBLISHED), StrictBackend()
    embedding = predictor.embed(cloud)
    predictor.model.graphs = Graphs(backend)
    clicks = [Prompt(cloud.xyz[[row]].astype(np.float64)) for row in range(GRAPHED_OBJECTS + 1)]
    predictor.segment(embedding, clicks)
    at = torch.zeros(1, 1, 1, 3)
    predictor.model.decode(embedding.encoding, at, torch.ones(1, 1, 1))
    assert not backend.captures


# Nothing waits for the device before an answer.


@pytest.mark.parametrize("votes", [0, 4])
def test_a_click_is_asked_and_decoded_without_waiting(
    cloud: Cloud, as_on_a_gpu: None, votes: int
) -> None:
    predictor = Predictor(model(), replace(PUBLISHED, first_click_votes=votes))
    embedding = predictor.embed(cloud)
    with NothingWaits("aten::lift_fresh"):  # clicks go up, by a copy that nobody waits for
        answers = conversation(predictor, embedding, cloud)
    assert all(answer.masks.shape[1] == cloud.size for answer in answers)


def test_the_check_sees_what_waits() -> None:
    with NothingWaits():
        for waits in (lambda x: x[x > 0], lambda x: x.max().item(), lambda x: x.nonzero()):
            with pytest.raises(RuntimeError, match="not permitted"):
                waits(torch.ones(3))
        with pytest.raises(RuntimeError, match="not permitted"):
            torch.tensor([1.0])


# On a GPU.


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_on_a_gpu_graphs_answer_as_layers_one_by_one(
    cloud: Cloud, dtype: str, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Predictor(model("cuda", dtype), PUBLISHED)
    graphed = Predictor(model("cuda", dtype, True), PUBLISHED)
    expected = conversation(plain, plain.embed(cloud), cloud)
    embedding = graphed.embed(cloud)
    with ThreadPoolExecutor(2) as pool:
        talks = [pool.submit(conversation, graphed, embedding, cloud) for _ in range(4)]
    for talk in talks:
        for answer, right in zip(talk.result(), expected, strict=True):
            np.testing.assert_allclose(answer.logits, right.logits, atol=0.1, rtol=0.02)
    assert len(graphed.model.graphs or ()) > 4
    assert not [record for record in caplog.records if "CUDA graph" in record.getMessage()]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_on_a_gpu_nothing_waits_between_a_click_and_its_decoding(cloud: Cloud) -> None:
    predictor = Predictor(model("cuda", "bfloat16", True), PUBLISHED)
    embedding = predictor.embed(cloud)
    conversation(predictor, embedding, cloud)
    torch.cuda.set_sync_debug_mode("error")
    try:
        answers = conversation(predictor, embedding, cloud)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert answers[0].masks.shape == (3, cloud.size)
