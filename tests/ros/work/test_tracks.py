"""The node's tracks: which ids instances get, and what becomes of followed objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from frame_tree import Tree
from moving_tabletop import HERE, tabletop
from numpy.typing import NDArray
from std_msgs.msg import Header

from benchmarks.quality.tracking_sequences import MovingCloud, moving_sequence, true_masks
from pointsam_model import Instance, Prediction, Predictor, load_model
from pointsam_model.config.building import configured
from pointsam_model.evaluation.tracking import TrackedCloud, TrackingResult, evaluate_tracking
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud
from pointsam_ros.codes import Code
from pointsam_ros.config import LimitSettings, NodeConfig, TrackingSettings
from pointsam_ros.health.gaps import Recent
from pointsam_ros.health.health import Clouds, State, health
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.found import Found
from pointsam_ros.refusal import Refusal
from pointsam_ros.requests.sessions import ObjectClicks, Session
from pointsam_ros.requests.transforms import Transform
from pointsam_ros.work.tracks import Tracks

READY = State("ready")
FINE = Clouds("/points", 0.1, 0.0, Recent(96, 0, 0), losses_told=True)
BASE_S = 1_000  # of the first cloud's stamp


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(load_model("tiny", device="cpu"))


class Node:
    """Tracks with what a node gives them; settings may change."""

    def __init__(self, predictor: Predictor, **settings: Any) -> None:
        self.predictor = predictor
        self.store, self.tree, self.tally = CloudStore("/points"), Tree(), Tally()
        self.said: list[str] = []
        self.settings = configured(TrackingSettings(enabled=True), settings)
        self.tracks = Tracks(
            predictor,
            self.store,
            lambda: self.config,
            self.tree,
            self.tally,
            self.said.append,
        )

    def cloud(
        self,
        xyz: NDArray[np.float32],
        second: float,
        rgb: NDArray[np.uint8] | None = None,
        frame: str = "camera",
        attached: bool = False,
    ) -> StoredCloud:
        """A cloud that the sensor sent, or one that came with a request."""
        header = Header(frame_id=frame)
        ns = round((BASE_S + second) * 1e9)
        header.stamp.sec, header.stamp.nanosec = ns // 10**9, ns % 10**9
        msg = cloud_msgs.write(header, xyz, rgb)
        stored = StoredCloud.from_msg(msg, ns, LimitSettings(), attached=attached)
        if not attached:
            self.store.add(stored, retain=5)
        return stored

    def table(
        self, second: float, at: tuple[float, float] | None = HERE, **how: Any
    ) -> tuple[StoredCloud, NDArray[np.int64]]:
        """A cloud of the tabletop, and which point is of which box."""
        cloud, label = tabletop(at, int(10 * second))
        return self.cloud(cloud.xyz, second, cloud.rgb, **how), label

    def propose(self, second: float, *boxes: int, **how: Any) -> list[Found]:
        """True masks of the boxes in a cloud of the tabletop, with their ids."""
        cloud, label = self.table(second, **how)
        return self.tracks.proposed(cloud, instances(cloud, label, boxes))

    def prompt(
        self, cloud: StoredCloud, label: NDArray[np.int64], box: int, **how: Any
    ) -> list[Found]:
        """A true mask of a box as an answer to a request for the object 9, or another."""
        number = how.pop("object_id", 9)
        session = Session(cloud, {number: how.pop("clicks", clicks_on(cloud, label, box))})
        mask = self.mask(cloud, label, box)
        how = {"multimask": False, "follow": False, **how}
        return self.tracks.prompted(session, {number: mask}, **how)

    def mask(self, cloud: StoredCloud, label: NDArray[np.int64], box: int) -> Prediction:
        if cloud.embedding is None:
            cloud.embedding = self.predictor.embed(cloud.read())
        inside = label[cloud.embedding.kept.rows] == box
        logits = np.where(inside, 4.0, -4.0).astype(np.float32)[None]
        return Prediction(cloud.embedding, logits, np.array([0.9], np.float32))

    def look(self, cloud: StoredCloud, **how: Any) -> list[Found] | None:
        embedding = cloud.embedding = self.predictor.embed(cloud.read())
        return self.tracks.look(cloud, embedding, how.pop("step_aside", lambda: False))

    @property
    def config(self) -> NodeConfig:
        return replace(NodeConfig(), tracking=self.settings)

    def health(self) -> str:
        """What the diagnostics say."""
        return health(READY, FINE, self.tally, self.config).text


def instances(cloud: StoredCloud, label: NDArray[np.int64], boxes: Iterable[int]) -> list[Instance]:
    xyz = cloud.read().xyz
    found = []
    for box in boxes:
        rows = np.flatnonzero(label == box)
        found.append(Instance(rows.astype(np.uint32), 0.5, 0.5, xyz[rows]))
    return found


def clicks_on(cloud: StoredCloud, label: NDArray[np.int64], box: int) -> ObjectClicks:
    first = cloud.read().xyz[np.flatnonzero(label == box)[:1]].astype(np.float64)
    return ObjectClicks(first, np.ones(1, np.int64))


def ids(found: Sequence[Found] | None) -> list[int]:
    assert found is not None
    return [each.id for each in found]


# Proposals.


def on_sequence(node: Node, sequence: Sequence[MovingCloud]) -> TrackingResult:
    """What the node makes of the true masks of a moving camera, whose pose its tree knows."""
    clouds = []
    for seen in sequence:
        cloud = node.cloud(seen.xyz, seen.stamp_s, seen.rgb)
        pose = Transform(seen.transform[:3, :3], seen.transform[:3, 3])
        node.tree.put("world", "camera", pose, cloud.stamp_ns)
        masks = [
            Instance(each.indices.astype(np.uint32), 0.5, 0.5, each.points)
            for each in true_masks(seen)
        ]
        found = node.tracks.proposed(cloud, masks)
        rows = {each.id: each.instance.indices for each in found}
        assert len(rows) == len(masks)
        clouds.append(TrackedCloud(seen.label, rows))
    return evaluate_tracking(clouds)


def test_a_moving_camera_loses_no_object_while_tf_knows_where_it_is(predictor: Predictor) -> None:
    sequence = moving_sequence(3, clouds=6, turn_deg=90.0, carried_m=0.0)
    result = on_sequence(Node(predictor, frame="world"), sequence)
    assert result.objects >= 20
    assert result.switches == 0 and result.mota >= 0.95 and result.idf1 >= 0.95
    assert on_sequence(Node(predictor), sequence).switches > 0, "without a frame that stays"


def test_an_object_that_is_carried_off_keeps_its_id(predictor: Predictor) -> None:
    sequence = moving_sequence(0, clouds=8, turn_deg=20.0)
    result = on_sequence(Node(predictor, frame="world"), sequence)
    assert result.objects >= 20
    assert result.mota >= 0.95 and result.idf1 >= 0.95


def test_without_tracking_ids_count_from_1_in_each_answer(predictor: Predictor) -> None:
    node = Node(predictor, enabled=False)
    assert ids(node.propose(0.0, 1, 2)) == [1, 2]
    assert ids(node.propose(0.1, 2)) == [1]
    cloud, label = node.table(0.2)
    assert ids(node.prompt(cloud, label, 1)) == [1]


def test_a_hidden_object_keeps_its_id_for_keep_s(predictor: Predictor) -> None:
    node = Node(predictor, keep_s=1.0)
    first, second = ids(node.propose(0.0, 1, 2))
    assert ids(node.propose(0.5, 2)) == [second]
    assert ids(node.propose(0.9, 1, 2)) == [first, second]
    assert ids(node.propose(1.5, 2)) == [second]
    later = ids(node.propose(2.0, 1, 2))
    assert later[0] not in (first, second) and later[1] == second


def test_clouds_of_earlier_and_of_requests_are_recognised_and_disturb_nothing(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    early, label = node.table(0.0)
    known = ids(node.propose(1.0, 1, 2))
    for how in ({}, {"attached": True}):
        cloud, _ = node.table(0.5, **how)
        found = ids(node.tracks.proposed(cloud, instances(cloud, label, (2, 1))))
        assert found == known[::-1]
        assert ids(node.tracks.proposed(cloud, [])) == []
    assert ids(node.tracks.proposed(early, instances(early, label, (1, 2)))) == known
    assert ids(node.propose(1.1, 2, 1)) == known[::-1]


def test_an_attached_cloud_of_another_frame_is_not_mistaken_for_the_sensors(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    known = ids(node.propose(0.0, 1, 2))
    others = ids(node.propose(0.0, 1, 2, attached=True, frame="other_camera"))
    assert not set(known) & set(others)
    assert ids(node.propose(0.1, 1, 2)) == known
    assert node.health() == READY.text


def test_what_an_attached_cloud_taught_is_forgotten_where_the_sensors_frame_is_another(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0, attached=True, frame="base")
    (followed,) = node.prompt(cloud, label, 1, follow=True)
    other, label = node.table(0.1, attached=True, frame="map")
    with pytest.raises(Refusal, match="the clouds before it are in 'base'"):
        node.prompt(other, label, 1, follow=True)
    assert followed.id not in ids(node.propose(0.2, 1, 2))
    assert not node.tracks.follows and node.tracks.nothing_left()


def test_where_the_clouds_place_is_not_known_ids_are_new_and_the_diagnostics_say_why(
    predictor: Predictor,
) -> None:
    node = Node(predictor, frame="world")
    node.tree.put("world", "camera", Transform(np.eye(3), np.zeros(3)), BASE_S * 10**9)
    known = ids(node.propose(0.0, 1, 2))
    unknown = ids(node.propose(0.1, 1, 2))
    assert not set(known) & set(unknown)
    text = node.health()
    assert "objects lose their ids" in text and "'camera' to 'world'" in text
    assert "not at the time of the cloud" in text and "tracking.frame" in text
    pose = Transform(np.eye(3), np.zeros(3))
    node.tree.put("world", "camera", pose, (BASE_S + 1) * 10**9)
    assert ids(node.propose(0.2, 1, 2)) == known
    assert node.health() == READY.text


def test_after_a_jump_of_time_nothing_is_recognised(predictor: Predictor) -> None:
    node = Node(predictor)
    cloud, label = node.table(100.0)
    (followed,) = node.prompt(cloud, label, 1, follow=True)
    known = ids(node.propose(100.1, 1, 2))
    assert known[0] == followed.id
    node.table(50.0)  # late, or the first of a jump
    assert ids(node.propose(100.2, 1, 2)) == known
    node.table(0.0)
    after = ids(node.propose(0.1, 1, 2))
    assert not set(after) & set(known)
    assert not node.tracks.follows
    assert "time jumped back" in node.said[0]
    assert ids(node.propose(0.2, 1, 2)) == after


# Prompts.


def test_a_prompted_object_has_the_id_of_the_track_that_it_is(predictor: Predictor) -> None:
    node = Node(predictor)
    first, second = ids(node.propose(0.0, 1, 2))
    cloud, label = node.table(0.1)
    assert ids(node.prompt(cloud, label, 2)) == [second]
    assert ids(node.prompt(cloud, label, 1)) == [first]


def test_prompts_alone_are_recognised_from_cloud_to_cloud(predictor: Predictor) -> None:
    node = Node(predictor)
    (first,) = ids(node.prompt(*node.table(0.0), 1))
    (other,) = ids(node.prompt(*node.table(0.1), 2))
    assert first != other
    assert ids(node.prompt(*node.table(0.2), 1)) == [first]
    assert ids(node.propose(0.3, 2, 1)) == [other, first]


def test_an_object_keeps_its_id_in_a_session_however_its_mask_changes(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    (first,) = ids(node.prompt(cloud, label, 0))
    told = replace(clicks_on(cloud, label, 1), id=first)
    assert ids(node.prompt(cloud, label, 1, clicks=told)) == [first]


def test_other_masks_of_an_object_have_ids_of_their_own(predictor: Predictor) -> None:
    node = Node(predictor)
    (known,) = ids(node.propose(0.0, 1))
    cloud, label = node.table(0.1)
    three = [node.mask(cloud, label, box) for box in (1, 0, 2)]
    masks = Prediction(
        three[0].embedding,
        np.concatenate([each.logits for each in three]),
        np.array([0.9, 0.8, 0.7], np.float32),
    )
    session = Session(cloud, {9: clicks_on(cloud, label, 1)})
    found = node.tracks.prompted(session, {9: masks}, multimask=True, follow=False)
    assert found[0].id == known
    assert len(set(ids(found))) == 3
    assert [each.object_id for each in found] == [9, 9, 9]


def test_a_prompted_object_keeps_its_id_while_nobody_looks_for_it(predictor: Predictor) -> None:
    node = Node(predictor, keep_s=2.0, max_speed=0.0)
    (known,) = ids(node.prompt(*node.table(0.0), 1))
    for second in (3.0, 6.0, 66.0):
        assert ids(node.prompt(*node.table(second), 1)) == [known]
    (other,) = ids(node.propose(69.0, 2))
    assert ids(node.prompt(*node.table(69.1), 1)) != [known], "missed in a whole cloud"
    assert ids(node.prompt(*node.table(80.0), 2)) == [other]


# Followed objects.


def test_a_followed_object_is_found_in_each_cloud_and_proposals_agree(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    (first,) = node.prompt(cloud, label, 1, follow=True)
    assert node.tracks.follows
    for step in range(1, 4):
        cloud, label = node.table(0.2 * step, at=(HERE[0], 0.02 * step))
        found = node.look(cloud)
        assert found is not None
        assert [(each.id, each.object_id) for each in found] == [(first.id, 9)]
        assert np.mean(label[found[0].instance.indices] == 1) > 0.7
        proposed = node.tracks.proposed(cloud, instances(cloud, label, (2, 1)))
        assert [each.object_id for each in proposed] == [0, 9]
        assert proposed[1].id == first.id
        both = node.tracks.with_followed(cloud, proposed)
        assert sorted(ids(both)) == sorted(ids(proposed)), "not twice"
        assert ids(node.tracks.with_followed(cloud, proposed[:1])) == [first.id, proposed[0].id]


def test_a_followed_object_that_is_not_seen_is_absent_and_then_lost(predictor: Predictor) -> None:
    node = Node(predictor, keep_s=1.0)
    cloud, label = node.table(0.0)
    (first,) = node.prompt(cloud, label, 1, follow=True)
    assert node.look(node.table(0.5, at=None)[0]) == []
    assert ids(node.look(node.table(0.9)[0])) == [first.id]
    assert node.look(node.table(1.5, at=None)[0]) == []
    assert node.tracks.follows and not node.said
    assert node.look(node.table(2.0, at=None)[0]) == []
    assert not node.tracks.follows
    (said,) = node.said
    assert f"object 9 with the id {first.id} is lost" in said and "keep_s = 1 s" in said
    assert ids(node.prompt(*node.table(2.1), 1)) != [first.id]
    assert node.tally.values()["objects lost"] == "1"


def test_a_click_goes_on_where_the_followed_object_was_last_seen(predictor: Predictor) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    (first,) = node.prompt(cloud, label, 1, follow=True, clicked=True)
    session = node.tracks.session_of(first.id)
    assert session is not None and session.cloud is cloud
    newer, _ = node.table(0.2)
    node.look(newer)
    session = node.tracks.session_of(first.id)
    assert session is not None and session.cloud is newer
    told = session.objects[9]
    assert told.id == first.id and told.mask is not None
    assert newer.embedding is not None and len(told.mask.logits) == len(newer.embedding.kept)
    assert node.tracks.session_of(first.id + 1) is None
    (requested,) = node.prompt(*node.table(0.4), 2, follow=True)
    assert node.tracks.session_of(requested.id) is None, "a request's object is not clicked on"


def test_released_objects_are_followed_no_longer_and_keep_their_ids(predictor: Predictor) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    known = [node.prompt(cloud, label, box, follow=True)[0].id for box in (1, 2)]
    assert node.tracks.release([known[1], 77]) == ([known[1]], None)
    assert ids(node.look(node.table(0.2)[0])) == [known[0]]
    assert node.tracks.release([]) == ([known[0]], node.store.newest())
    assert not node.tracks.follows
    assert node.tracks.release([]) == ([], None)
    assert node.tally.values()["objects released"] == "2"
    assert ids(node.propose(0.3, 2, 1)) == known[::-1]


def test_what_was_clicked_and_what_a_request_follows_are_two_objects_with_two_ids(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    (requested,) = node.prompt(cloud, label, 1, follow=True)
    (clicked,) = node.prompt(cloud, label, 1, follow=True, clicked=True)
    assert clicked.id != requested.id
    cloud, label = node.table(0.2)
    assert sorted(ids(node.look(cloud))) == [requested.id, clicked.id]
    assert ids(node.prompt(cloud, label, 1, follow=True)) == [requested.id]
    assert ids(node.prompt(cloud, label, 1, follow=True, clicked=True)) == [clicked.id]
    node.tracks.release_clicked()
    assert ids(node.look(node.table(0.4)[0])) == [requested.id]


def test_a_second_object_that_overlaps_a_followed_one_does_not_take_its_place(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    (first,) = node.prompt(cloud, label, 1, follow=True)
    (second,) = node.prompt(cloud, label, 1, follow=True, object_id=8)
    assert second.id != first.id
    found = node.look(node.table(0.2)[0])
    assert found is not None
    assert sorted((each.id, each.object_id) for each in found) == [(first.id, 9), (second.id, 8)]
    cloud, label = node.table(0.4)
    told = replace(clicks_on(cloud, label, 1), id=first.id)
    (third,) = node.prompt(cloud, label, 1, follow=True, object_id=7, clicks=told)
    assert third.id not in (first.id, second.id), "even if an earlier answer took it for the other"
    assert ids(node.prompt(cloud, label, 1, object_id=7, clicks=told)) == [first.id]
    assert node.tracks.release([first.id]) == ([first.id], None)


def test_an_object_that_was_prompted_on_a_newer_cloud_is_not_lost_to_an_older_one(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    (early,) = node.prompt(cloud, label, 2, follow=True, object_id=8)
    older, _ = node.table(0.2)
    (late,) = node.prompt(*node.table(0.4), 1, follow=True)
    assert ids(node.look(older)) == [early.id], "nobody can tell of the other"
    node.tracks.release([early.id])
    assert node.look(older) is None
    assert node.tracks.follows and not node.said
    assert ids(node.look(node.table(0.6)[0])) == [late.id]


def test_the_mask_that_was_prompted_in_a_cloud_is_not_replaced_by_a_look_at_it(
    predictor: Predictor,
) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    (first,) = node.prompt(cloud, label, 1, follow=True)
    (seen,) = node.look(cloud) or []
    assert seen.id == first.id and seen.instance is first.instance


def test_no_more_than_max_followed_are_followed(predictor: Predictor) -> None:
    node = Node(predictor, max_followed=1)
    cloud, label = node.table(0.0)
    (first,) = node.prompt(cloud, label, 1, follow=True)
    with pytest.raises(Refusal, match=r"release_objects.*tracking\.max_followed") as caught:
        node.prompt(cloud, label, 2, follow=True)
    assert caught.value.code == Code.OVERLOADED
    assert ids(node.prompt(cloud, label, 1, follow=True)) == [first.id], "the same one may be"


def test_what_cannot_be_placed_cannot_be_followed_and_a_cloud_without_a_place_is_skipped(
    predictor: Predictor,
) -> None:
    node = Node(predictor, frame="world")
    cloud, label = node.table(0.0)
    with pytest.raises(Refusal, match=r"leave tracking\.frame empty") as caught:
        node.prompt(cloud, label, 1, follow=True)
    assert caught.value.code == Code.NO_TRANSFORM
    assert not node.tracks.follows
    pose = Transform(np.eye(3), np.zeros(3))
    node.tree.put("world", "camera", pose, cloud.stamp_ns)
    (first,) = node.prompt(cloud, label, 1, follow=True)
    newer, _ = node.table(0.2)
    assert node.look(newer) is None
    assert "'camera' to 'world'" in node.health()
    node.tree.put("world", "camera", pose, newer.stamp_ns)
    assert ids(node.look(newer)) == [first.id]


def test_when_the_frame_changes_the_next_look_tells_that_nothing_is_followed(
    predictor: Predictor,
) -> None:
    for change in ("another parameter", "another sensor"):
        node = Node(predictor)
        cloud, label = node.table(0.0)
        node.prompt(cloud, label, 1, follow=True)
        if change == "another parameter":
            node.settings = replace(node.settings, frame="odom")  # tf2 does not know it
        newer, _ = node.table(0.2, frame="camera" if node.settings.frame else "lidar")
        node.tracks.proposed(newer, [])  # whoever is the first to notice
        assert not node.tracks.follows and node.tracks.has_to_look
        (said,) = node.said
        assert f"frame {node.settings.frame or 'lidar'!r} from now on, not in 'camera'" in said
        assert node.tracks.nothing_left()
        assert not node.tracks.nothing_left() and not node.tracks.has_to_look


def test_a_transform_that_is_late_is_waited_for_while_others_run(predictor: Predictor) -> None:
    node = Node(predictor, frame="world")
    pose = Transform(np.eye(3), np.zeros(3))
    cloud, label = node.table(0.0)
    node.tree.put("world", "camera", pose, cloud.stamp_ns)
    (first,) = node.prompt(cloud, label, 1, follow=True)
    newer, _ = node.table(0.2)

    def step_aside() -> bool:
        node.tree.put("world", "camera", pose, newer.stamp_ns)
        return False

    assert ids(node.look(newer, step_aside=step_aside)) == [first.id]
    newest, _ = node.table(0.4)
    assert node.look(newest, step_aside=lambda: True) is None


def test_when_tracking_is_switched_off_nothing_is_followed(predictor: Predictor) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    node.prompt(cloud, label, 1, follow=True)
    assert node.tracks.lose_all("tracking.enabled is false") is cloud
    assert node.tracks.lose_all("again") is None
    assert not node.tracks.follows
    (said,) = node.said
    assert "tracking.enabled is false" in said


def test_closed_tracks_say_what_is_lost_and_follow_nothing_more(predictor: Predictor) -> None:
    node = Node(predictor)
    cloud, label = node.table(0.0)
    known = [node.prompt(cloud, label, box, follow=True, object_id=box)[0].id for box in (1, 2)]
    assert node.tracks.close("the node was deactivated") is cloud
    assert [
        f"object {box} with the id {each}" in said
        for box, each, said in zip((1, 2), known, node.said, strict=True)
    ] == [True, True]
    assert node.tally.values()["objects lost"] == "2"
    node.prompt(cloud, label, 1, follow=True)  # a request that was being answered
    assert not node.tracks.follows and node.tally.following() == 0
    assert node.tracks.close("again") is None


def test_an_object_of_a_cloud_that_is_ahead_of_the_sensors_is_lost_after_keep_s(
    predictor: Predictor,
) -> None:
    node = Node(predictor, keep_s=1.0)
    cloud, label = node.table(100_000.0, attached=True)
    (known,) = ids(node.prompt(cloud, label, 1, follow=True))
    for second in (0.0, 0.5, 1.0):
        assert node.look(node.table(second)[0]) is None
    assert node.tracks.follows and not node.said
    assert node.look(node.table(1.5)[0]) == [], "and whoever shows it is told"
    assert not node.tracks.follows
    (said,) = node.said
    assert f"with the id {known} is lost" in said and "clock of its source ahead" in said


def test_an_object_of_a_cloud_that_is_a_little_ahead_is_looked_for_once_it_is_reached(
    predictor: Predictor,
) -> None:
    node = Node(predictor, keep_s=1.0)
    cloud, label = node.table(0.6, attached=True)
    (known,) = ids(node.prompt(cloud, label, 1, follow=True))
    assert node.look(node.table(0.0)[0]) is None
    for second in (0.8, 1.6):
        assert ids(node.look(node.table(second)[0])) == [known]
