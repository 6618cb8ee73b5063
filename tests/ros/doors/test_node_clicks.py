"""Points published from RViz, over real middleware."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from node_process import FAR, RANDOM_MODEL, TINY, Client
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker, MarkerArray

from pointsam_interfaces.msg import InstanceArray
from pointsam_model import Cloud, Embedding, Prediction, Predictor, Prompt, load_model
from pointsam_ros.codes import Code

pytestmark = pytest.mark.dds

NEGATIVE = "/pointsam/clicked_negative"

with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
    RGB = raw["raw_rgb"].astype(np.uint8)
CLICKS = XYZ[[100, 900, 1700]]


class Display:
    """What RViz shows: the last message of each topic."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.arrays = client.listen(InstanceArray, "/pointsam/instances")
        self.clouds = client.listen(PointCloud2, "/pointsam/segmented_points")
        self.markers = client.listen(MarkerArray, "/pointsam/markers")
        self._reset = client.node.create_client(Trigger, "/pointsam/reset_clicks")
        self._undo = client.node.create_client(Trigger, "/pointsam/undo_click")

        def heard() -> bool:  # those who listen are known after a moment
            client.ask(CLICKS[:1], cloud=client.cloud(XYZ, RGB))
            client.settle()
            return bool(self.arrays and self.clouds and self.markers)

        client.wait_for(heard, "publications")
        self.forget()

    def forget(self) -> None:
        for heard in (self.arrays, self.clouds, self.markers):
            heard.clear()

    def after_click(self, *click: Any) -> InstanceArray:
        """Clicks once and gives what is shown then."""
        self.forget()
        self._client.click(*click)
        return self.shown()

    def shown(self) -> InstanceArray:
        self._client.wait_for(lambda: self.arrays and self.clouds and self.markers, "display")
        return self.arrays[-1]

    def undo(self) -> Any:
        self.forget()
        return self._client.call(self._undo, Trigger.Request())

    def reset(self) -> Any:
        self.forget()
        return self._client.call(self._reset, Trigger.Request())


@pytest.fixture
def display(client: Client) -> Display:
    return Display(client)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """The same network in this process."""
    return Predictor(
        load_model(RANDOM_MODEL["model.preset"], RANDOM_MODEL["model.checkpoint"], device="cpu")
    )


@pytest.fixture(scope="module")
def embedding(predictor: Predictor) -> Embedding:
    return predictor.embed(Cloud(XYZ, RGB))


def check_shown(shown: InstanceArray, wanted: Prediction) -> None:
    (instance,) = shown.instances
    np.testing.assert_array_equal(instance.indices, np.flatnonzero(wanted.masks[0]))


def test_a_click_is_answered_on_the_newest_cloud_at_once(
    client: Client, display: Display, predictor: Predictor, embedding: Embedding
) -> None:
    client.send(client.cloud(XYZ + np.float32(0.5)))
    newest = client.send(client.cloud(XYZ, RGB))
    shown = display.after_click(CLICKS[0])
    assert shown.header == newest.header
    (wanted,) = predictor.segment(embedding, [Prompt(CLICKS[:1])])
    check_shown(shown, wanted.best())
    assert display.clouds[-1].header == newest.header
    first, box, label = display.markers[-1].markers
    assert first.action == Marker.DELETEALL, "stale markers go"
    assert box.type == Marker.LINE_LIST
    assert label.text == f"1 of object 1: {shown.instances[0].score:.2f}"


def test_the_next_click_refines_the_object_on_its_cloud_even_when_that_is_long_gone(
    client: Client, display: Display, predictor: Predictor, embedding: Embedding
) -> None:
    assert not client.set(clouds__retain=1)
    clicked = client.send(client.cloud(XYZ, RGB))
    display.after_click(CLICKS[0])
    client.send(client.cloud(XYZ + np.float32(0.5)))
    shown = display.after_click(CLICKS[1])
    assert shown.header == clicked.header
    (one,) = predictor.segment(embedding, [Prompt(CLICKS[:1])])
    (two,) = predictor.segment(embedding, [Prompt(CLICKS[:2], mask=one.best())])
    check_shown(shown, two.best())


def test_the_last_clicks_are_taken_back_one_by_one(client: Client, display: Display) -> None:
    client.send(client.cloud(XYZ, RGB))
    display.reset()
    one = display.after_click(CLICKS[0])
    two = display.after_click(CLICKS[1])
    display.after_click(CLICKS[2])
    for before in (two, one):
        assert display.undo().success
        assert display.shown() == before
    assert display.undo().success and not display.shown().instances
    refused = display.undo()
    assert not refused.success and "nothing is left to be taken back" in refused.message
    display.reset()
    assert "no click to take back" in display.undo().message


def test_a_negative_click_excludes(
    client: Client, display: Display, predictor: Predictor, embedding: Embedding
) -> None:
    client.send(client.cloud(XYZ, RGB))
    display.after_click(CLICKS[0])
    shown = display.after_click(CLICKS[1], NEGATIVE)
    (one,) = predictor.segment(embedding, [Prompt(CLICKS[:1])])
    refined = Prompt(CLICKS[:2], np.array([1, 0]), mask=one.best())
    (two,) = predictor.segment(embedding, [refined])
    check_shown(shown, two.best())


def test_after_a_reset_the_display_is_empty_and_a_click_begins_anew_on_the_newest_cloud(
    client: Client, display: Display, predictor: Predictor, embedding: Embedding
) -> None:
    client.send(client.cloud(XYZ + np.float32(0.5)))
    display.after_click(CLICKS[0] + np.float32(0.5))
    newest = client.send(client.cloud(XYZ, RGB))
    answer = display.reset()
    assert answer.success and "newest cloud" in answer.message
    assert display.shown().instances == []
    assert [marker.action for marker in display.markers[-1].markers] == [Marker.DELETEALL]
    shown = display.after_click(CLICKS[1])
    assert shown.header == newest.header
    (wanted,) = predictor.segment(embedding, [Prompt(CLICKS[1:2])])
    check_shown(shown, wanted.best())


def test_when_the_clouds_time_jumps_back_a_click_begins_anew_and_sessions_are_lost(
    client: Client, display: Display, predictor: Predictor, embedding: Embedding
) -> None:
    assert not client.set(clouds__stale_s=0.0)
    before = client.diagnostics(lambda *_: True)
    client.send(client.cloud(XYZ + np.float32(0.5)))
    assert client.ask(CLICKS[:1] + np.float32(0.5), session="s").code == Code.OK
    display.after_click(CLICKS[0] + np.float32(0.5))
    earlier = [client.cloud(XYZ, RGB) for _ in range(2)]
    for cloud in earlier:
        cloud.header.stamp.sec -= 60
        client.send(cloud)
    client.check_refused(Code.SESSION_LOST, "time has jumped back", CLICKS[:1], session="s")
    display.forget()
    assert client.ask(CLICKS[:1], session="s").code == Code.OK, "it can start anew"
    display.shown()  # what comes later is the click's
    shown = display.after_click(CLICKS[1])
    assert shown.header == earlier[-1].header
    (wanted,) = predictor.segment(embedding, [Prompt(CLICKS[1:2])])
    check_shown(shown, wanted.best())
    after = client.diagnostics(
        lambda _, values: int(values["clouds time jumps"]) > int(before["clouds time jumps"])
    )
    assert after["clouds missing"] == before["clouds missing"]
    assert float(after["newest cloud age [s]"]) < 59, "since it came: its stamp is of another clock"


def test_a_refused_click_is_counted_and_the_object_stays_as_it_was(
    client: Client, display: Display, predictor: Predictor, embedding: Embedding
) -> None:
    before = client.diagnostics(lambda *_: True)
    client.click(CLICKS[0])  # no cloud has come
    client.diagnostics(_refused_since(before, "NO_CLOUD"))
    client.send(client.cloud(XYZ, RGB))
    client.click(CLICKS[0], NEGATIVE)  # nothing yet to exclude from
    client.diagnostics(_refused_since(before, "BAD_REQUEST"))
    display.after_click(CLICKS[0])
    before = client.diagnostics(lambda *_: True)
    client.click(FAR)
    client.diagnostics(_refused_since(before, "TOO_FAR"))
    client.click((np.nan, 0.0, 1.0))
    client.diagnostics(_refused_since(before, "BAD_REQUEST"))
    shown = display.after_click(CLICKS[1])
    (one,) = predictor.segment(embedding, [Prompt(CLICKS[:1])])
    (two,) = predictor.segment(embedding, [Prompt(CLICKS[:2], mask=one.best())])
    check_shown(shown, two.best())


def _refused_since(before: dict[str, str], code: str) -> Any:
    def refused(_: Any, values: dict[str, str]) -> bool:
        return all(
            int(values[key]) > int(before[key]) for key in ("clicks refused", f"requests {code}")
        )

    return refused


def test_a_click_in_another_frame_is_refused_without_tf2(client: Client) -> None:
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("tf2_ros is installed here")
    client.send(client.cloud(XYZ, RGB))
    before = client.diagnostics(lambda *_: True)
    client.click(CLICKS[0], frame="map")
    client.diagnostics(_refused_since(before, "NO_TRANSFORM"))


def test_a_deactivated_node_refuses_clicks_and_has_forgotten_the_earlier_ones(
    client: Client, display: Display, predictor: Predictor, embedding: Embedding
) -> None:
    client.send(client.cloud(XYZ, RGB))
    display.after_click(CLICKS[0])
    before = client.diagnostics(lambda *_: True)
    assert client.transition(Transition.TRANSITION_DEACTIVATE)
    client.click(CLICKS[0])
    client.diagnostics(_refused_since(before, "NOT_READY"))
    assert not display.reset().success
    assert client.transition(Transition.TRANSITION_ACTIVATE)
    client.wait_until_ready()
    client.send(client.cloud(XYZ, RGB))
    shown = display.after_click(CLICKS[1])
    (wanted,) = predictor.segment(embedding, [Prompt(CLICKS[1:2])])
    check_shown(shown, wanted.best())
