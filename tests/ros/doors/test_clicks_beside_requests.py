"""Clicks in RViz while requests have objects followed too: neither disturbs the other."""

from __future__ import annotations

import pytest
from frame_tree import Tree
from geometry_msgs.msg import Point
from moving_tabletop import HERE, OTHER, tabletop
from std_msgs.msg import Header

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model import Predictor, load_model
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud
from pointsam_ros.config import LimitSettings, NodeConfig, TrackingSettings
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.requests import clicks as requests
from pointsam_ros.requests.sessions import Session
from pointsam_ros.work.segmenter import Segmenter
from pointsam_ros.work.tracks import Tracks

CONFIG = NodeConfig(tracking=TrackingSettings(enabled=True))
BASE_S = 1_000
FIRST, SECOND = (*HERE, 0.72), (*OTHER, 0.72)  # middles of the boxes
ASIDE = (HERE[0] + 0.03, HERE[1], 0.72)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(load_model("tiny", device="cpu"))


class Node:
    """What answers clicks and requests, without ROS's machinery, on clouds of two boxes."""

    def __init__(self, predictor: Predictor) -> None:
        self.store, self.said = CloudStore("/points"), list[str]()
        tally = Tally()
        self.tracks = Tracks(predictor, self.store, lambda: CONFIG, Tree(), tally, self.said.append)
        self.segmenter = Segmenter(
            predictor, self.store, lambda: CONFIG, lambda: BASE_S * 10**9, Tree(), tally,
            lambda _: None, self.said.append, self.tracks,
        )  # fmt: skip
        self.send(0.0)

    def send(self, second: float) -> StoredCloud:
        cloud, _ = tabletop(seed=int(10 * second))
        header = Header(frame_id="camera")
        ns = round((BASE_S + second) * 1e9)
        header.stamp.sec, header.stamp.nanosec = ns // 10**9, ns % 10**9
        msg = cloud_msgs.write(header, cloud.xyz, cloud.rgb)
        stored = StoredCloud.from_msg(msg, ns, LimitSettings())
        self.store.add(stored, retain=5)
        return stored

    def look(self) -> list[int]:
        """Ids of the followed objects that are seen in the newest cloud."""
        answer = self.segmenter.follow_newest(lambda: False)
        assert answer is not None
        return sorted(each.id for each in answer.found)

    def click(self, at: tuple[float, ...], label: int = 1) -> int:
        """The id of the clicked object."""
        request = _request([at], [1])
        request.labels = [label]
        clicks = requests.parse(request, CONFIG.limits)
        (found,) = self.segmenter.click(clicks, self.segmenter.newest()).found
        return found.id

    def ask(self, *at: tuple[float, ...], object_ids: list[int], session: str = "") -> list[int]:
        """A request's followed objects: their ids, in the order of `object_ids`."""
        request = _request(list(at), object_ids)
        request.session, request.follow = session, True
        answer = self.segmenter.answer(self.segmenter.prepare(request))
        known = {each.object_id: each.id for each in answer.found}
        return [known[object_id] for object_id in object_ids]


def _request(at: list[tuple[float, ...]], object_ids: list[int]) -> SegmentPrompts.Request:
    points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in at]
    return SegmentPrompts.Request(points=points, labels=[1] * len(at), object_ids=object_ids)


def shown(answer: Answer | None) -> list[int]:
    assert answer is not None
    return [each.id for each in answer.found]


def test_clicks_go_on_whatever_requests_have_followed(predictor: Predictor) -> None:
    node = Node(predictor)
    clicked = node.click(FIRST)
    requested = node.ask(FIRST, SECOND, object_ids=[1, 7], session="planner")
    assert clicked not in requested
    assert node.click(ASIDE) == clicked
    node.send(0.2)
    assert node.look() == sorted([clicked, *requested])
    assert node.click(ASIDE) == clicked
    assert node.ask(SECOND, object_ids=[7]) == requested[1:]


def test_a_reset_releases_what_was_clicked_and_nothing_else(predictor: Predictor) -> None:
    node = Node(predictor)
    (requested,) = node.ask(FIRST, object_ids=[1])
    clicked = node.click(FIRST)
    node.send(0.2)
    assert node.look() == [requested, clicked]
    assert shown(node.segmenter.reset_clicks()) == [requested], "the display keeps it"
    node.send(0.4)
    assert node.look() == [requested]
    assert node.segmenter.reset_clicks() is None, "nothing was clicked since"
    again = node.click(FIRST)
    assert again != requested
    assert shown(node.segmenter.reset_clicks()) == [requested]


def test_whoever_releases_an_id_the_next_click_begins_anew_on_the_newest_cloud(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    clicked = node.click(FIRST)
    assert node.tracks.release([clicked])[0] == [clicked]
    newest = node.send(0.2)
    node.click(FIRST)
    answer = node.segmenter.reset_clicks()
    assert answer is not None and answer.cloud is newest and not answer.found
    assert not node.tracks.follows and not node.said


def test_an_object_that_is_prompted_now_and_then_keeps_its_id(predictor: Predictor) -> None:
    node = Node(predictor)
    asked = requests.parse(_request([FIRST], [1]), CONFIG.limits)
    seen = set[int]()
    for second in (0.0, 3.0, 6.0, 9.0):
        node.send(second)
        answer, _ = node.segmenter.continued(Session(node.segmenter.newest()), asked)
        seen.update(shown(answer))
    assert len(seen) == 1
