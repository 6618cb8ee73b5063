"""Several cameras in one process: a node each, one model for all."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from domains import free_domain
from lifecycle_msgs.msg import Transition
from node_process import RANDOM_MODEL, Client, environment_of

from pointsam_ros.client.node_process import NodeProcess
from pointsam_ros.codes import Code
from pointsam_ros.config import ModelSettings
from pointsam_ros.segment_cameras import CamerasError, cameras_of, split_namespace
from pointsam_ros.work.loaded import shared_model

CAMERAS = ("front=/front/points", "left=left/points")
TINY = ModelSettings(
    preset=RANDOM_MODEL["model.preset"], checkpoint=RANDOM_MODEL["model.checkpoint"], device="cpu"
)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[NodeProcess, int]]:
    domain = free_domain()
    program = ("pointsam_ros.segment_cameras", *CAMERAS)
    environment = environment_of(domain)
    with NodeProcess(RANDOM_MODEL, tmp_path / "log", program, environment=environment) as node:
        yield node, domain


def test_each_camera_is_answered_from_its_own_clouds_and_lives_its_own_life(
    process: tuple[NodeProcess, int],
) -> None:
    node, domain = process
    front, left = (Client(domain, f"/{each}", f"/{each}/points") for each in ("front", "left"))
    try:
        clouds = []
        for client, distance in ((front, 1.0), (left, 3.0)):
            client.wait_until_ready()
            xyz = np.random.default_rng(1).uniform(-0.5, 0.5, (500, 3))
            xyz[:, 2] += distance
            client.send(client.cloud(xyz.astype(np.float32)))
            clouds.append(xyz)
        for client, xyz in zip((front, left), clouds, strict=True):
            response = client.ask([xyz[0]])
            assert response.success, response.message
            assert response.result.cloud_size == 500
        front.check_refused(Code.TOO_FAR, "nearest point", [clouds[1][0]])

        assert left.transition(Transition.TRANSITION_DEACTIVATE)
        left.check_refused(Code.NOT_READY, "inactive", [clouds[1][0]])
        assert front.ask([clouds[0][0]]).success
        assert left.transition(Transition.TRANSITION_ACTIVATE)
        left.wait_until_ready()
    finally:
        front.close()
        left.close()
    assert node.end() == 0, node.log
    assert "Traceback" not in node.log


def test_nodes_of_one_process_share_a_model_as_long_as_one_of_them_holds_it() -> None:
    first, second = shared_model(TINY), shared_model(TINY)
    assert first is second
    assert shared_model(ModelSettings(TINY.preset, TINY.checkpoint, "cpu", "bfloat16")) is not first
    held = weakref.ref(first)
    del first, second
    gc.collect()
    assert held() is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "no camera"),
        (["/points"], "NAME=TOPIC"),
        (["=/points"], "no name"),
        (["a b=/points"], "namespace must not contain"),
        (["front=/no spaces"], "topic name must not contain"),
        (["front=/one", "front=/two"], "twice"),
        (["front=/one", "left=one"], "twice"),
    ],
)
def test_a_wrong_list_of_cameras_is_refused_with_what_is_wrong(
    arguments: list[str], reason: str
) -> None:
    with pytest.raises(CamerasError, match=reason):
        cameras_of(arguments)


def test_a_namespace_comes_before_the_cameras_names() -> None:
    ros = ["--ros-args", "-r", "__ns:=/old", "-r", "a:=b", "--remap", "__ns:=/robot/", "-p", "x:=1"]
    namespace, others = split_namespace(["segment_cameras", *CAMERAS, *ros])
    assert namespace == "robot"
    assert others == ["segment_cameras", *CAMERAS, "--ros-args", "-r", "a:=b", "-p", "x:=1"]
    assert split_namespace(["segment_cameras"]) == ("", ["segment_cameras"])
    last = ["segment_cameras", "a=/b", "--ros-args", "-r", "__ns:=/robot"]
    assert split_namespace(last) == ("robot", ["segment_cameras", "a=/b", "--ros-args"])


def test_a_topic_without_a_leading_slash_is_in_the_namespace() -> None:
    assert cameras_of(["a=points/a", "b=/b"], "robot") == {"a": "/robot/points/a", "b": "/b"}
    assert cameras_of(["a=points/a"]) == {"a": "/points/a"}


@pytest.mark.dds
def test_cameras_of_a_robot_are_in_its_namespace(tmp_path: Path) -> None:
    domain = free_domain()
    given = (*CAMERAS, "--ros-args", "-r", "__ns:=/robot")
    client = Client(domain, "/robot/front", "/front/points")
    left = Client(domain, "/robot/left", "/robot/left/points")
    program = ("pointsam_ros.segment_cameras", *given)
    environment = environment_of(domain)
    with NodeProcess(RANDOM_MODEL, tmp_path / "log", program, environment=environment) as node:
        client.wait_until_ready()
        left.wait_until_ready()
        xyz = np.random.default_rng(1).uniform(0.5, 1.5, (500, 3))
        left.send(left.cloud(xyz.astype(np.float32)))
        names = {f"{ns}/{name}" for name, ns in client.node.get_node_names_and_namespaces()}
        assert {"/robot/front/pointsam", "/robot/left/pointsam"} <= names
        assert node.end() == 0, node.log
    client.close()
    left.close()


def test_cameras_may_be_named_with_slashes() -> None:
    assert cameras_of(["/arm/wrist/=/wrist/points"]) == {"arm/wrist": "/wrist/points"}
