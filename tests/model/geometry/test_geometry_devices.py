"""Where partitions are computed: on the device of their points, with the same result on each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from backends import ON_A_GPU
from boxed_table import SENSOR, box_on_a_table, partition_of
from kernel_shim import KernelsOnCpu

from pointsam_model import Cloud, ops
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.geometry import Partition
from pointsam_model.geometry.partition import SAMPLE, partition, sampled
from pointsam_model.ops import dispatch, surfaces
from pointsam_model.ops.torch_ops import TorchOps

SEEN = pytest.mark.parametrize("sensor", [SENSOR, None], ids=["seen", "unseen"])
ROUNDING = 1e-3  # of a cut: the turn of parallel normals is a root of what float32 leaves of 1 - 1


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """As on a robot: what is not made for it fails here, however many the other tests have."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def assert_alike(one: Partition, other: Partition) -> None:
    assert np.array_equal(one.start, other.start)
    assert np.array_equal(one.end, other.end)
    assert one.cut == pytest.approx(other.cut, abs=ROUNDING)
    assert one.length == pytest.approx(other.length, abs=1e-5)
    assert one.spacing == pytest.approx(other.spacing, rel=1e-6)
    assert np.array_equal(one.tree.leaf, other.tree.leaf)
    assert np.array_equal(one.tree.parent, other.tree.parent)


@SEEN
@pytest.mark.parametrize("module", [TorchOps(), KernelsOnCpu()], ids=["torch", "kernels"])
def test_what_a_gpu_runs_parts_a_cloud_as_the_cpu_does(
    monkeypatch: pytest.MonkeyPatch, sensor: np.ndarray | None, module: Any
) -> None:
    points, _ = box_on_a_table(0.06)
    expected = partition_of(points, points, sensor)
    for place in (ops, surfaces):
        monkeypatch.setattr(place, "backend", lambda _: module)
    assert_alike(partition_of(points, points, sensor), expected)
    monkeypatch.undo()
    assert surfaces.backend is dispatch.backend


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=ON_A_GPU)])
@SEEN
def test_a_gpu_parts_a_cloud_as_the_cpu_does(sensor: np.ndarray | None, device: str) -> None:
    points, _ = box_on_a_table(0.02)
    on_device = torch.from_numpy(points).to(device)
    assert_alike(partition(on_device, on_device, sensor), partition_of(points, points, sensor))


@SEEN
@pytest.mark.parametrize("module", [None, TorchOps()], ids=["cpu", "torch"])
def test_nothing_is_made_on_another_device_than_the_points(
    monkeypatch: pytest.MonkeyPatch, sensor: np.ndarray | None, module: Any
) -> None:
    """Tensors made without a device would be on `meta`, and could not meet the points."""
    points, _ = box_on_a_table(0.06)
    if module is not None:
        for place in (ops, surfaces):
            monkeypatch.setattr(place, "backend", lambda _: module)
    expected = partition_of(points, points, sensor)
    with torch.device("meta"):
        with pytest.raises((RuntimeError, NotImplementedError)):
            (torch.zeros(3) + torch.from_numpy(points)).tolist()
        assert_alike(partition_of(points, points, sensor), expected)


def test_a_sample_of_few_rows_is_all_of_them_and_of_many_the_same_each_time() -> None:
    few, many = torch.arange(10), torch.arange(2 * SAMPLE)
    assert torch.equal(sampled(few), few)
    assert len(sampled(many)) == SAMPLE
    assert torch.equal(sampled(many), sampled(many))


def test_a_sample_speaks_for_all_of_a_cloud() -> None:
    rows = sampled(torch.arange(10 * SAMPLE))
    share = torch.bincount(rows // (2 * SAMPLE), minlength=5) / SAMPLE
    assert share.tolist() == pytest.approx([0.2] * 5, abs=0.01)


def test_an_embedding_is_parted_from_what_its_device_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    from pointsam_model.segment import embedding as module

    points, _ = box_on_a_table(0.03)
    far = np.array([2000.0, 0, 0])
    cloud = Cloud(points + far, viewpoint=SENSOR + far)
    kept = cloud.reduce(ReductionConfig(), 500)
    given: list[Any] = []
    cells: list[torch.Tensor] = []

    def noted(*arguments: Any, nearest: torch.Tensor) -> None:
        given.append(arguments)
        cells.append(nearest)

    monkeypatch.setattr(module, "partition", noted)
    whole = module.Embedding(cloud, kept, None, np.zeros(3), 1.0, 0.1, 0.1)  # type: ignore[arg-type]
    _ = whole.partition
    ((places, source, sensor),) = given
    assert places is kept.kept.points, "no copy"
    assert source.dtype == torch.float32
    assert source.numpy() == pytest.approx(cloud.xyz - kept.origin, abs=1e-6)
    assert sensor == pytest.approx(SENSOR + far - kept.origin)
    away = (source[:, None] - places[None]).norm(dim=2)
    assert torch.equal(cells[0], away.argmin(1)), "what reducing knows, not searched for again"
