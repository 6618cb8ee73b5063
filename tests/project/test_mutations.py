"""The doors, without middleware: whatever is done to a real message, it is taken or refused."""

from __future__ import annotations

import functools
import tracemalloc
from random import Random

import numpy as np
from geometry_msgs.msg import Point
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import PointCloud2

from benchmarks.endurance.mutations import mutate_request, mutated_cloud
from benchmarks.endurance.sensors import LAYOUTS, generated_clouds, messages_of
from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model import Cloud
from pointsam_model.config.settings import ReductionConfig
from pointsam_model.errors import CloudError
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.clouds.cloud_store import StoredCloud
from pointsam_ros.codes import Code
from pointsam_ros.config import LimitSettings
from pointsam_ros.refusal import Refusal
from pointsam_ros.requests import clicks as requests

POINTS = 200
MOST_BYTES = 2_000_000  # many times the largest of these messages, far below what some declare


@functools.cache
def real_messages() -> list[PointCloud2]:
    return [msg for cloud in generated_clouds(POINTS) for msg in messages_of(cloud, POINTS)]


def content(msg: PointCloud2) -> tuple:
    shape = (msg.height, msg.width, msg.point_step, msg.row_step, msg.is_bigendian)
    fields = [(field.name, field.offset, field.datatype, field.count) for field in msg.fields]
    return shape, fields, bytes(msg.data)


def test_every_layout_holds_the_same_points() -> None:
    for cloud in generated_clouds(POINTS):
        messages = messages_of(cloud, POINTS)
        assert len(messages) == len(LAYOUTS)
        first, *others = (cloud_msgs.read(msg) for msg in messages)
        for other in others:
            np.testing.assert_array_equal(other.xyz.astype(np.float32), first.xyz)


@given(st.integers(0, 2**32))
@settings(max_examples=500, deadline=None)
def test_a_mutated_cloud_is_reduced_or_refused_with_a_reason(seed: int) -> None:
    rng = Random(seed)
    msg = mutated_cloud(rng.choice(real_messages()), rng)
    before = content(msg)
    tracemalloc.start()
    try:
        stored = StoredCloud.from_msg(msg, 0, LimitSettings())
        cloud: Cloud = stored.read()
        reduced = cloud.reduce(ReductionConfig(), max_points=100)
    except CloudError as error:
        assert str(error)
    else:
        assert cloud.size == msg.width * msg.height
        assert np.isfinite(np.asarray(reduced.points)).all()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_BYTES, "more was allocated than the data that came can need"
    assert content(msg) == before


@given(st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_a_mutated_request_is_understood_or_refused_with_a_reason(seed: int) -> None:
    request = SegmentPrompts.Request(points=[Point(x=0.1, y=0.2, z=0.3)] * 3)
    mutate_request(request, Random(seed))
    try:
        clicks = requests.parse(request, LimitSettings())
    except Refusal as refusal:
        assert refusal.code == Code.BAD_REQUEST and refusal.message
    else:
        count = len(request.points)
        assert np.isfinite(clicks.points).all() and clicks.points.shape == (count, 3)
        assert len(clicks.labels) == len(clicks.object_ids) == count
        assert set(clicks.labels.tolist()) <= {0, 1} and (clicks.object_ids >= 1).all()
        assert len(clicks.boxes) == len(request.boxes) and count + len(clicks.boxes) > 0
        for object_id, box in clicks.boxes.items():
            assert object_id >= 1 and (box.size > 0).all() and np.isfinite(box.orientation).all()


def test_a_seed_gives_the_same_mutations_again() -> None:
    for seed in range(20):
        one, again = (mutated_cloud(real_messages()[seed], Random(seed)) for _ in range(2))
        assert content(one) == content(again)
        assert one.header == again.header
