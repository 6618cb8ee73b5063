"""`clouds.sensor_frame`: tf2 tells from where a cloud in another coordinate frame was seen."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from forked_nodes import ForkedNode
from frame_tree import Tree
from geometry_msgs.msg import Point, TransformStamped
from node_process import RANDOM_MODEL, Client
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model import Cloud, Predictor, Prompt, load_model
from pointsam_model.scenes import SceneConfig, generate_scene
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud
from pointsam_ros.codes import Code
from pointsam_ros.config import CloudSettings, LimitSettings, NodeConfig
from pointsam_ros.health.tally import Tally
from pointsam_ros.requests.transforms import Lookup, Transform, WithoutTf2
from pointsam_ros.work.segmenter import Segmenter
from pointsam_ros.work.tracks import Tracks
from pointsam_ros.work.viewpoints import Viewpoints

SECOND = 10**9
HERE = np.array([0.2, -0.1, 1.2])  # of the camera in base_link [m]
LOOKS_DOWN = Rotation.from_euler("zyx", [-0.5, 0.0, -2.2]).as_matrix()
MOUNTED = Transform(LOOKS_DOWN, HERE)
VOXEL_M = 0.004


def filtered(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A tabletop's points in base_link as a voxel filter leaves them, and their labels."""
    scene = generate_scene(seed, SceneConfig(width=320, height=240))
    rows = np.flatnonzero(np.isfinite(scene.xyz).all(1))
    cells = np.floor(scene.xyz[rows] / VOXEL_M).astype(np.int64)
    _, first = np.unique(cells, axis=0, return_index=True)
    rows = np.random.default_rng(seed).permutation(rows[first])
    return MOUNTED(scene.xyz[rows].astype(np.float64)).astype(np.float32), scene.instance[rows]


XYZ, LABELS = filtered(3)


def stored(
    xyz: NDArray[Any] = XYZ, frame: str = "base_link", stamp_ns: int = 20 * SECOND, **how: Any
) -> StoredCloud:
    header = Header(frame_id=frame)
    header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, SECOND)
    msg = cloud_msgs.write(header, xyz.astype(np.float32))
    return StoredCloud.from_msg(msg, stamp_ns, LimitSettings(), **how)


class Node:
    """Viewpoints with what a node gives them."""

    def __init__(self, lookup: Lookup, sensor_frame: str = "camera") -> None:
        self.config = NodeConfig(clouds=CloudSettings(sensor_frame=sensor_frame))
        self.tally, self.said = Tally(), list[str]()
        self.viewpoints = Viewpoints(lambda: self.config, lookup, self.tally, self.said.append)

    def viewpoint(self, cloud: StoredCloud) -> list[float] | None:
        source = self.viewpoints.viewed(cloud, cloud.read())
        self.viewpoints.tell(cloud, source)
        return None if source.viewpoint is None else source.viewpoint.tolist()

    @property
    def place(self) -> str:
        return self.tally.values()["sensor's place"]


def moving(*seconds: float) -> Tree:
    """base_link <- camera, which moves along x and is known at these times [s]."""
    tree = Tree()
    for second in seconds:
        pose = Transform(LOOKS_DOWN, np.array([second, 0.0, 1.0]))
        tree.put("base_link", "camera", pose, round(second * SECOND))
    return tree


def test_a_cloud_is_viewed_from_where_its_sensor_was_at_its_time() -> None:
    node = Node(moving(10, 30))
    assert node.viewpoint(stored(stamp_ns=15 * SECOND)) == pytest.approx([15, 0, 1])
    assert node.place == "(15.000, 0.000, 1.000) m in 'base_link', by tf2"
    assert not node.said and not node.tally.missing_sensor()


@pytest.mark.parametrize(("sensor_frame", "frame"), [("camera", "/camera"), ("/camera", "camera")])
def test_a_cloud_in_its_sensors_own_frame_is_viewed_from_the_origin(
    sensor_frame: str, frame: str
) -> None:
    assert Node(WithoutTf2(), sensor_frame).viewpoint(stored(frame=frame)) == [0, 0, 0]


def test_a_transform_that_is_a_little_behind_the_cloud_serves() -> None:
    assert Node(moving(10, 19.9)).viewpoint(stored()) == pytest.approx([19.9, 0, 1])
    assert Node(moving(20.1, 30)).viewpoint(stored(stamp_ns=20 * SECOND)) is None, "not the newest"


@pytest.mark.parametrize(
    ("lookup", "frame", "reason"),
    [
        (WithoutTf2(), "base_link", "tf2_ros is not installed"),
        (Tree(), "base_link", r"'camera'.*'base_link'.*nobody publishes"),
        (moving(10, 19.5), "base_link", r"is 0\.5 s older than the cloud, more than 0\.2 s"),
        (moving(70, 80), "base_link", r"is 60\.0 s newer than the cloud"),
        (moving(10, 30), "", "empty frame_id"),
        (moving(10, 30), "/", "empty frame_id"),
    ],
    ids=["no tf2", "unknown", "stale", "too new", "no frame", "a slash"],
)
def test_without_a_transform_a_cloud_stays_as_it_is_and_the_reason_is_told_once(
    lookup: Lookup, frame: str, reason: str
) -> None:
    node = Node(lookup)
    for _ in range(5):
        assert node.viewpoint(stored(frame=frame)) is None
    assert re.search(reason, node.tally.missing_sensor()), node.tally.missing_sensor()
    (line,) = node.said
    assert line.startswith(node.tally.missing_sensor())
    assert node.place == "not known"


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e30])
def test_a_transform_to_nowhere_is_none(wrong: float) -> None:
    tree = Tree()
    tree.put("base_link", "camera", Transform(LOOKS_DOWN, np.array([0.0, wrong, 0.0])))
    node = Node(tree)
    assert node.viewpoint(stored()) is None
    assert "not a position [m]" in node.tally.missing_sensor()


def test_the_complaint_ends_with_the_transform_or_the_parameter() -> None:
    tree = Tree()
    node = Node(tree)
    node.viewpoint(stored())
    assert node.tally.missing_sensor()
    tree.put("base_link", "camera", MOUNTED)
    assert node.viewpoint(stored()) == HERE.tolist()
    assert not node.tally.missing_sensor()
    tree.forget()
    node = Node(Tree())
    node.viewpoint(stored())
    node.config = NodeConfig()
    assert node.viewpoint(stored()) is None
    assert not node.tally.missing_sensor()


def test_without_the_parameter_the_cloud_itself_is_asked_and_tf2_is_not() -> None:
    tree = moving(10, 30)
    node = Node(tree, sensor_frame="")
    assert node.viewpoint(stored()) is None and node.place == "not known"
    at_home = (XYZ - HERE) @ LOOKS_DOWN
    assert node.viewpoint(stored(at_home, "camera")) is None
    assert node.place == "(0.000, 0.000, 0.000) m in 'camera', by the cloud itself"
    assert not tree.asked and not node.said and not node.tally.missing_sensor()


def test_a_cloud_of_a_request_is_viewed_from_there_only_where_it_plainly_was() -> None:
    tree = Tree()
    tree.put("base_link", "camera", MOUNTED)
    node = Node(tree)
    assert node.viewpoint(stored(attached=True)) == HERE.tolist()
    of_another_camera = stored(XYZ + np.float32([0.4, -0.5, 0.3]), attached=True)
    assert node.viewpoint(of_another_camera) is None
    assert node.viewpoint(stored(frame="", attached=True)) is None
    assert node.viewpoint(stored(frame="scan", attached=True)) is None
    assert not node.said and not node.tally.missing_sensor() and not node.place


def test_first_clicks_on_a_filtered_cloud_in_base_link_are_better_with_the_sensors_frame() -> None:
    predictor = Predictor(load_model(device="cpu"))
    tree = Tree()
    tree.put("base_link", "camera", MOUNTED)
    without, known = (
        np.mean([iou_of_a_click(segmenter, each) for each in objects()])
        for segmenter in (
            segmenter_of(predictor, Node(tree, each), tree) for each in ("", "camera")
        )
    )
    assert known > without + 0.05


def segmenter_of(predictor: Predictor, node: Node, tree: Tree) -> Segmenter:
    """It knows one cloud."""
    store, silent = CloudStore("/points"), lambda _: None
    store.add(stored(), retain=3)
    tracks = Tracks(predictor, store, NodeConfig, tree, node.tally, silent)
    return Segmenter(
        predictor, store, lambda: node.config, lambda: 20 * SECOND, tree, node.tally, silent,
        node.said.append, tracks,
    )  # fmt: skip


def objects() -> list[int]:
    counts = np.bincount(LABELS[LABELS > 0])
    return np.flatnonzero(counts >= 100).tolist()


def iou_of_a_click(segmenter: Segmenter, label: int) -> float:
    truth = label == LABELS
    middle = np.median(XYZ[truth], 0)
    at = XYZ[truth][np.linalg.norm(XYZ[truth] - middle, axis=1).argmin()]
    request = SegmentPrompts.Request()
    request.points.append(Point(**dict(zip("xyz", map(float, at), strict=True))))
    (found,) = segmenter.answer(segmenter.prepare(request)).found
    mask = np.zeros(len(XYZ), bool)
    mask[found.instance.indices] = True
    return float((mask & truth).sum() / (mask | truth).sum())


# The real node, with the stand-in of tf2.


@pytest.mark.dds
def test_the_node_answers_from_where_tf2_says_that_the_sensor_stood(
    start: Callable[..., tuple[ForkedNode, Client]], tf2: Any
) -> None:
    _, client = start(clouds__sensor_frame="camera")
    client.wait_until_ready()
    broadcaster = client.node.create_publisher(TransformStamped, "/tf", 10)
    client.wait_for(broadcaster.get_subscription_count, "subscription to /tf")
    msg = in_base_link(client)
    stamp_ns = msg.header.stamp.sec * SECOND + msg.header.stamp.nanosec
    broadcaster.publish(tf2.message("base_link", "camera", MOUNTED, stamp_ns))
    client.settle(0.5)
    client.send(msg)
    place = "(0.200, -0.100, 1.200) m in 'base_link', by tf2"
    client.diagnostics(lambda status, values: values["sensor's place"] == place)
    predictor = Predictor(
        load_model(RANDOM_MODEL["model.preset"], RANDOM_MODEL["model.checkpoint"], device="cpu")
    )
    known, unknown = (
        predictor.embed(Cloud(XYZ, viewpoint=viewpoint)) for viewpoint in (HERE, None)
    )
    differ = 0
    for label in objects()[:4]:
        click = XYZ[label == LABELS][0]
        right, other = (
            predictor.segment(each, [Prompt(each.snap(click[None]), multimask=False)])[0].rows[0]
            for each in (known, unknown)
        )
        response = client.ask([click], header=Header(stamp=msg.header.stamp))
        assert response.code == Code.OK, response.message
        assert list(response.result.instances[0].indices) == right.tolist()
        differ += not np.array_equal(right, other)
    assert differ, "clicks that rest on the sensor's place"


@pytest.mark.dds
def test_without_the_transform_no_cloud_is_lost_or_late_and_the_node_says_so(
    start: Callable[..., tuple[ForkedNode, Client]], tf2: Any
) -> None:
    node, client = start(clouds__sensor_frame="camera", transforms__timeout_s=10.0)
    client.wait_until_ready()
    for _ in range(3):
        msg = client.send(in_base_link(client))
        began = time.monotonic()
        response = client.ask([XYZ[0]], header=Header(stamp=msg.header.stamp))
        assert response.code == Code.OK, response.message
        assert time.monotonic() - began < 5.0
    reason = "no transform gives the sensor's position (clouds.sensor_frame 'camera') in"

    def complains(status: DiagnosticStatus, values: dict[str, str]) -> bool:
        return status.level == DiagnosticStatus.WARN and reason in status.message

    values = client.diagnostics(complains)
    assert values["clouds refused"] == "0" and values["sensor's place"] == "not known"
    assert node.log.count(reason) == 1, node.log
    assert not client.set(clouds__sensor_frame="")
    msg = client.send(in_base_link(client))
    assert client.ask([XYZ[0]], header=Header(stamp=msg.header.stamp)).code == Code.OK
    client.diagnostics(lambda status, _: status.level == DiagnosticStatus.OK)


def in_base_link(client: Client) -> Any:
    msg = client.cloud(XYZ)
    msg.header.frame_id = "base_link"
    return msg
