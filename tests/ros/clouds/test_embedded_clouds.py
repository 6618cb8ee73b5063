"""Embeddings in the device's memory: bounded, the least recently used goes, sessions go on."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from forked_nodes import ForkedNode
from node_process import RANDOM_MODEL, TINY, Client
from std_msgs.msg import Header

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model import (
    Cloud,
    Embedding,
    OutOfMemory,
    Predictor,
    PredictorConfig,
    Prompt,
    load_model,
)
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud
from pointsam_ros.clouds.embedded import EmbeddedClouds
from pointsam_ros.codes import Code
from pointsam_ros.config import EmbedSettings, LimitSettings, NodeConfig
from pointsam_ros.health.tally import Tally
from pointsam_ros.refusal import refusal_of
from pointsam_ros.requests.transforms import Lookup
from pointsam_ros.work.segmenter import Segmenter
from pointsam_ros.work.tracks import Tracks

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
    RGB = raw["raw_rgb"].astype(np.uint8)
CLICKS = XYZ[[100, 900]].astype(np.float64)


def stored(shift: float = 0.0) -> StoredCloud:
    msg = cloud_msgs.write(Header(frame_id="camera"), XYZ + np.float32(shift), RGB)
    return StoredCloud.from_msg(msg, 0, LimitSettings(), attached=True)


def of_size(nbytes: int) -> StoredCloud:
    cloud = stored()
    cloud.embedding = SimpleNamespace(nbytes=nbytes)  # type: ignore[assignment]
    return cloud


def test_the_least_recently_used_embedding_goes_and_its_cloud_stays() -> None:
    embedded, clouds = EmbeddedClouds(), [of_size(10) for _ in range(3)]
    for cloud in clouds:
        embedded.use(cloud, 30)
    embedded.use(clouds[0], 30)
    assert embedded.nbytes == 30
    newest = of_size(15)
    embedded.use(newest, 30)
    assert [cloud.embedding is None for cloud in clouds] == [False, True, True]
    assert embedded.nbytes == 25


def test_an_embedding_larger_than_the_bound_is_kept_alone() -> None:
    embedded, first, second = EmbeddedClouds(), of_size(10), of_size(50)
    embedded.use(first, 30)
    embedded.use(second, 30)
    assert first.embedding is None
    assert second.embedding is not None


def test_clouds_that_nobody_keeps_do_not_count() -> None:
    embedded, kept = EmbeddedClouds(), of_size(10)
    embedded.use(of_size(25), 30)
    embedded.use(kept, 30)
    assert embedded.nbytes == 10


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(
        load_model(RANDOM_MODEL["model.preset"], RANDOM_MODEL["model.checkpoint"], device="cpu")
    )


def test_an_embedding_knows_its_memory(predictor: Predictor) -> None:
    embedding = predictor.embed(Cloud(XYZ, RGB))
    patches = embedding.encoding.patches
    assert embedding.nbytes > patches.groups.nbytes + patches.offsets.nbytes
    assert embedding.nbytes < 2**24


def test_on_a_cpu_a_partition_counts_as_an_embeddings_memory_once_it_is_made(
    predictor: Predictor,
) -> None:
    without = Predictor(predictor.model, PredictorConfig(geometry=False))
    embedding = without.embed(Cloud(XYZ, RGB))
    before = embedding.nbytes
    parts = embedding.partition
    assert embedding.nbytes == before + parts.nbytes
    held = parts.neighbours, parts.start, parts.end, parts.length, parts.cut, parts.tree.leaf
    assert sum(each.nbytes for each in held) < parts.nbytes < 2 * sum(each.nbytes for each in held)
    _ = parts.walker
    surroundings = embedding.surroundings
    assert parts.walker.nbytes > 0
    assert surroundings.nbytes > surroundings.summed.nbytes
    assert embedding.nbytes == before + parts.nbytes + surroundings.nbytes


def test_on_a_gpu_what_the_host_keeps_does_not_count_as_the_devices_memory(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = Predictor(predictor.model, PredictorConfig(geometry=False)).embed(Cloud(XYZ, RGB))
    before = embedding.nbytes
    _ = embedding.surroundings
    monkeypatch.setattr(Embedding, "device", torch.device("cuda"))
    assert embedding.nbytes == before


def segmenter(predictor: Any, mib: Any) -> Segmenter:
    config = NodeConfig(embed=EmbedSettings(max_memory_mib=mib))
    store, tally, nowhere = CloudStore("/points"), Tally(), cast("Lookup", None)
    tracks = Tracks(predictor, store, lambda: config, nowhere, tally, lambda _: None)
    silent = lambda _: None  # noqa: E731
    return Segmenter(
        predictor, store, lambda: config, lambda: 0, nowhere, tally, silent, silent, tracks
    )


def question(segmenter: Segmenter, click: int, label: int, cloud: Any = None) -> Any:
    request = SegmentPrompts.Request(session="s", labels=[label])
    request.points.append(_point(CLICKS[click]))
    if cloud is not None:
        request.cloud = cloud
    return segmenter.prepare(request)


def _point(at: np.ndarray) -> Any:
    from geometry_msgs.msg import Point

    return Point(x=float(at[0]), y=float(at[1]), z=float(at[2]))


class Full:
    """A predictor on a device with room for so many embeddings."""

    def __init__(self, predictor: Predictor, room: int) -> None:
        self._predictor, self.room = predictor, room
        self.held: list[Any] = []
        self.model, self.device = predictor.model, "cpu"
        self.segment = predictor.segment

    def embed(self, cloud: Cloud, reached: Callable[[str], None] | None = None) -> Any:
        import weakref

        self.held = [each for each in self.held if each() is not None]
        if len(self.held) >= self.room:
            raise OutOfMemory("the device's memory does not suffice: keep fewer points")
        embedding = self._predictor.embed(cloud, reached)
        self.held.append(weakref.ref(embedding))
        return embedding


def test_where_memory_runs_out_other_embeddings_go_first(predictor: Predictor) -> None:
    full = Full(predictor, room=2)
    works = segmenter(full, 1000)
    clouds = [stored(0.1 * number) for number in range(4)]
    for cloud in clouds:
        works.embedding_of(cloud)
    assert clouds[-1].embedding is not None
    assert [cloud.embedding is None for cloud in clouds[:2]] == [True, True]


def test_memory_that_never_suffices_is_a_refusal_that_says_what_to_lower(
    predictor: Predictor,
) -> None:
    works = segmenter(Full(predictor, room=0), 1000)
    with pytest.raises(OutOfMemory) as caught:
        works.embedding_of(stored())
    refusal = refusal_of(caught.value)
    assert refusal.code == Code.OVERLOADED
    assert "keep fewer points" in refusal.message


def test_looks_at_a_large_cloud_count_as_its_memory_and_other_clouds_make_room(
    predictor: Predictor,
) -> None:
    spread = XYZ * np.float32(30)  # tens of metres: clicks are answered from looks
    large, other = predictor.embed(Cloud(spread, RGB)), predictor.embed(Cloud(XYZ, RGB))
    assert not len(large.looks)
    room = large.nbytes + other.nbytes
    predictor.segment(large, [Prompt(spread[[100]])])
    assert len(large.looks) == 1
    assert large.nbytes + other.nbytes > room
    request = SegmentPrompts.Request(labels=[1])
    request.points.append(_point(spread[100]))
    request.cloud = cloud_msgs.write(Header(frame_id="camera"), spread, RGB)
    for bound, stays in ((room, False), (large.nbytes + other.nbytes, True)):
        works, first = segmenter(predictor, bound / 2**20), stored()
        works.embedding_of(first)
        works.answer(works.prepare(request))
        assert (first.embedding is not None) == stays


class Crowded:
    """A predictor that can look at parts of a cloud only while no other is embedded."""

    def __init__(self, predictor: Predictor, other: StoredCloud) -> None:
        self._predictor, self._other = predictor, other
        self.model, self.device, self.embed = predictor.model, "cpu", predictor.embed

    def segment(self, embedding: Any, prompts: Any) -> Any:
        if self._other.embedding is not None:
            raise OutOfMemory("the device's memory does not suffice: keep fewer points")
        return self._predictor.segment(embedding, prompts)


def test_where_memory_runs_out_for_a_look_other_clouds_embeddings_go(predictor: Predictor) -> None:
    other = stored(0.5)
    works = segmenter(Crowded(predictor, other), 1000)
    works.embedding_of(other)
    attached = cloud_msgs.write(Header(frame_id="camera"), XYZ, RGB)
    answer = works.answer(question(works, 0, 1, attached))
    assert answer.found and other.embedding is None
    assert answer.cloud.embedding is not None


def refined_directly(predictor: Predictor) -> np.ndarray:
    embedding = predictor.embed(Cloud(XYZ, RGB))
    (one,) = predictor.segment(embedding, [Prompt(CLICKS[:1])])
    (two,) = predictor.segment(embedding, [Prompt(CLICKS, [1, 1], one.best())])
    return two.best().rows[0]


def test_a_session_goes_on_when_its_embedding_was_dropped(predictor: Predictor) -> None:
    works = segmenter(predictor, 1000)
    attached = cloud_msgs.write(Header(frame_id="camera"), XYZ, RGB)
    first = works.answer(question(works, 0, 1, attached))
    assert first.cloud.embedding is not None
    first.cloud.embedding = None
    second = works.answer(question(works, 1, 1))
    assert second.cloud is first.cloud
    np.testing.assert_array_equal(second.found[0].instance.indices, refined_directly(predictor))


@pytest.mark.dds
def test_a_node_with_room_for_one_embedding_answers_on_every_cloud_and_in_sessions(
    start: Callable[..., tuple[ForkedNode, Client]], predictor: Predictor
) -> None:
    large = PredictorConfig(num_patches=1000, patch_size=100)  # more than half a MiB for a cloud
    _, client = start(
        embed__mode="on_prompt",
        embed__max_memory_mib=1,
        predictor__num_patches=large.num_patches,
        predictor__patch_size=large.patch_size,
    )
    client.wait_until_ready()
    first = client.ask(CLICKS[:1], cloud=client.cloud(XYZ, RGB), session="cup")
    assert first.code == Code.OK, first.message
    sent = client.send(client.cloud(XYZ + np.float32(0.25), RGB))
    other = {"points": CLICKS[:1] + 0.25, "header": Header(stamp=sent.header.stamp)}
    assert client.ask(**other).code == Code.OK
    refined = client.ask(CLICKS[1:], session="cup")
    assert refined.code == Code.OK, refined.message
    np.testing.assert_array_equal(
        refined.result.instances[0].indices, refined_directly(Predictor(predictor.model, large))
    )
    assert client.ask(**other).code == Code.OK
    # More often than there are clouds of the sensor: it was embedded again.
    client.diagnostics(lambda _, values: int(values["clouds embedded"]) > 1)
