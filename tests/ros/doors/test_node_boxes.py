"""Boxes as prompts over real middleware: what a planner that knows about where gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from node_process import RANDOM_MODEL, TINY, Client
from std_msgs.msg import Header

from pointsam_interfaces.msg import ObjectBox
from pointsam_model import Box, Cloud, Predictor, Prompt, load_model
from pointsam_ros.codes import Code
from pointsam_ros.outputs.mask_msgs import quaternion

pytestmark = pytest.mark.dds

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
    RGB = raw["raw_rgb"].astype(np.uint8)
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
BOX = Box(XYZ[100], (0.5, 0.4, 0.6), TURN)
OTHER = Box(XYZ[900], (0.3, 0.3, 0.3))
CLICKS = XYZ[[100, 900]]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The node's network in this process."""
    return Predictor(
        load_model(RANDOM_MODEL["model.preset"], RANDOM_MODEL["model.checkpoint"], device="cpu")
    )


def told(box: Box, object_id: int = 1) -> ObjectBox:
    x, y, z = box.center.tolist()
    pose = Pose(position=Point(x=x, y=y, z=z), orientation=quaternion(box.orientation))
    along_x, along_y, along_z = box.size.tolist()
    return ObjectBox(object_id=object_id, pose=pose, size=Vector3(x=along_x, y=along_y, z=along_z))


def changed(**fields: Any) -> ObjectBox:
    """The box with a side, or the whole orientation, as given."""
    box = told(BOX)
    for name, value in fields.items():
        if name == "orientation":
            box.pose.orientation = Quaternion(**dict(zip("xyzw", value, strict=True)))
        elif name == "object_id":
            box.object_id = value
        else:
            setattr(box.size if name in "xyz" else box.pose.position, name[-1], value)
    return box


def check_masks(response: Any, predictor: Predictor, prompts: list[Prompt]) -> None:
    """Each object of the response is the best mask of its prompt in this process."""
    assert response.code == Code.OK, response.message
    predictions = predictor.segment(predictor.embed(Cloud(XYZ, RGB)), prompts)
    masks = {
        instance.object_id: instance.indices.tolist() for instance in response.result.instances
    }
    for object_id, prediction in enumerate(predictions, start=1):
        assert masks.get(object_id, []) == np.flatnonzero(prediction.masks[0]).tolist()


def test_a_box_alone_is_answered(client: Client, predictor: Predictor) -> None:
    response = client.ask(boxes=[told(BOX)], cloud=client.cloud(XYZ, RGB))
    check_masks(response, predictor, [Prompt(box=BOX)])
    assert len(response.result.instances) == 1


def test_the_retained_cloud_is_asked_by_its_stamp_as_with_clicks(
    client: Client, predictor: Predictor
) -> None:
    sent = client.send(client.cloud(XYZ, RGB))
    client.send(client.cloud(XYZ + np.float32(0.5)))
    response = client.ask(boxes=[told(BOX)], header=sent.header)
    assert response.result.header == sent.header
    check_masks(response, predictor, [Prompt(box=BOX)])


def test_objects_with_clicks_boxes_and_both_go_in_one_request(
    client: Client, predictor: Predictor
) -> None:
    response = client.ask(
        CLICKS, object_ids=[1, 3], boxes=[told(OTHER, 2), told(BOX, 1)],
        cloud=client.cloud(XYZ, RGB), return_points=True,
    )  # fmt: skip
    prompts = [Prompt(CLICKS[:1], box=BOX), Prompt(box=OTHER), Prompt(CLICKS[1:])]
    check_masks(response, predictor, prompts)
    assert len(response.object_points) == len(response.result.instances)


def test_a_box_makes_a_click_off_the_object_enough(client: Client, predictor: Predictor) -> None:
    response = client.ask(CLICKS[1:], labels=[0], boxes=[told(BOX)], cloud=client.cloud(XYZ, RGB))
    check_masks(response, predictor, [Prompt(CLICKS[1:], [0], box=BOX)])


def test_in_a_session_clicks_refine_what_the_box_gave(client: Client, predictor: Predictor) -> None:
    client.ask(boxes=[told(BOX)], cloud=client.cloud(XYZ, RGB), session="s")
    response = client.ask(CLICKS[1:], labels=[0], session="s")
    embedding = predictor.embed(Cloud(XYZ, RGB))
    (first,) = predictor.segment(embedding, [Prompt(box=BOX)])
    (second,) = predictor.segment(embedding, [Prompt(CLICKS[1:], [0], first.best(), box=BOX)])
    assert response.code == Code.OK, response.message
    found = [instance.indices.tolist() for instance in response.result.instances]
    assert found == [rows.tolist() for rows in [np.flatnonzero(second.masks[0])] if len(rows)]


def test_in_a_session_a_later_box_takes_the_place_of_the_earlier(
    client: Client, predictor: Predictor
) -> None:
    client.ask(CLICKS[:1], boxes=[told(OTHER)], cloud=client.cloud(XYZ, RGB), session="s")
    response = client.ask(boxes=[told(BOX)], session="s")
    check_masks(response, predictor, [Prompt(CLICKS[:1], box=BOX)])


def test_a_box_is_of_object_1_unless_it_says_otherwise() -> None:
    assert ObjectBox().object_id == 1


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([changed(y=0.0)], r"boxes\[0\], of object 1: the size of a box is .* above 0 m"),
        ([changed(y=-0.1)], r"above 0 m"),
        ([changed(z=np.nan)], r"boxes\[0\], of object 1: the size .*nan.* finite"),
        ([changed(at_x=np.inf)], r"boxes\[0\], of object 1: the center .*inf.* finite"),
        (
            [changed(orientation=(0.0, 0.0, 0.0, 0.0))],
            r"quaternion of length 0; give \(0, 0, 0, 1\)",
        ),
        ([changed(orientation=(0.0, np.nan, 0.0, 1.0))], "orientation .* finite"),
        ([changed(object_id=0)], r"boxes\[0\]\.object_id is 0; objects are numbered from 1"),
        ([told(BOX), told(OTHER)], r"boxes\[1\] is a second box of object 1"),
        (
            [told(BOX, each) for each in range(1, 258)],
            r"257 boxes; at most 256.*limits\.max_prompts",
        ),
    ],
    ids=["flat", "negative", "NaN", "nowhere", "no turn", "NaN turn", "id 0", "two", "too many"],
)
def test_a_box_that_is_none_is_a_bad_request(
    client: Client, boxes: list[ObjectBox], reason: str
) -> None:
    client.check_refused(Code.BAD_REQUEST, reason, boxes=boxes, cloud=client.cloud(XYZ))


def test_a_box_that_holds_no_point_is_told_how_far_they_are(client: Client) -> None:
    away = Box((XYZ[:, 0].max() + 1.25, 0, 0), (0.5, 9, 9))
    client.check_refused(
        Code.TOO_FAR, "^object 1: the box holds no point of the cloud; the nearest is 1 m away",
        boxes=[told(away)], cloud=client.cloud(XYZ),
    )  # fmt: skip
    client.check_refused(
        Code.TOO_FAR, "^object 7: the box holds no point",
        CLICKS[:1], boxes=[told(Box((1e300, 0, 0), (1, 1, 1)), 7)], cloud=client.cloud(XYZ),
    )  # fmt: skip


def test_an_object_with_neither_click_on_it_nor_box_is_told_both(client: Client) -> None:
    client.check_refused(
        Code.BAD_REQUEST, "object 2 has no click on it; give it one with label 1, or a box",
        CLICKS[:1], labels=[0], object_ids=[2], boxes=[told(BOX)], cloud=client.cloud(XYZ),
    )  # fmt: skip


def test_a_box_in_another_frame_is_refused_without_tf2(client: Client) -> None:
    client.check_refused(
        Code.NO_TRANSFORM, "'base_link'.*'camera'", boxes=[told(BOX)],
        header=Header(frame_id="base_link"), cloud=client.cloud(XYZ),
    )  # fmt: skip
