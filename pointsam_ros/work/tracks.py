"""Persistent ids of objects, and following of prompted objects from cloud to cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from pointsam_model import (
    Embedding,
    Follower,
    Instance,
    Prediction,
    Predictor,
    Prompt,
    instances_of,
)
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud
from pointsam_ros.config import NodeConfig, TrackingSettings
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.found import Found, best_first
from pointsam_ros.requests.sessions import ObjectClicks, Session
from pointsam_ros.requests.transforms import Lookup
from pointsam_ros.work.followed import Followed, FollowedObjects, Owner
from pointsam_ros.work.track_ids import StampedPose, TrackIds


class Tracks:
    """Assigns ids to instances and follows objects. For the worker's thread, unless stated.

    Without `tracking.enabled`, ids count from 1 in each answer and nothing is followed.

    Args:
        predictor: finds followed objects again.
        store: the sensor's clouds.
        config: returns the current settings.
        lookup: finds transforms between coordinate frames.
        tally: counts followed objects and their outcomes.
        warn: logs a warning.
    """

    def __init__(
        self,
        predictor: Predictor,
        store: CloudStore,
        config: Callable[[], NodeConfig],
        lookup: Lookup,
        tally: Tally,
        warn: Callable[[str], None],
    ) -> None:
        self._predictor = predictor
        self._config = config
        self._followed = FollowedObjects(tally, warn)
        self._ids = TrackIds(store, config, lookup, tally, self._forget)
        self._nothing_left = False  # the last followed object was lost, which is not published yet

    @property
    def follows(self) -> bool:
        """Whether an object is followed. Thread-safe."""
        return bool(self._followed)

    @property
    def has_to_look(self) -> bool:
        """Whether an object is followed, or a loss is not published yet. Thread-safe."""
        return self.follows or self._nothing_left

    @property
    def enabled(self) -> bool:
        """Whether ids are persistent."""
        return self._config().tracking.enabled

    def proposed(self, cloud: StoredCloud, instances: Sequence[Instance]) -> list[Found]:
        """Assigns ids to all instances of a cloud, in the same order.

        A followed object has its own id and object_id.
        """
        if not self.enabled:
            return [
                Found(number, 0, instance) for number, instance in enumerate(instances, start=1)
            ]
        place = self._ids.place_if_known(cloud)
        if place is None:
            ids = [self._ids.new() for _ in instances]
        else:
            ids = self._ids.of_whole(cloud, place, instances)
        owners = map(self._followed.owner, ids)
        return [
            Found(track_id, owner.object_id if owner else 0, instance)
            for track_id, owner, instance in zip(ids, owners, instances, strict=True)
        ]

    def with_followed(self, cloud: StoredCloud, found: Sequence[Found]) -> list[Found]:
        """Adds the followed objects that were seen in this cloud and are not in `found`."""
        known = {each.id for each in found}
        seen = self._followed.seen_in(cloud) if self.enabled else []
        return best_first([*found, *(each for each in seen if each.id not in known)])

    def prompted(
        self,
        session: Session,
        masks: Mapping[int, Prediction],
        multimask: bool,
        follow: bool,
        clicked: bool = False,
    ) -> list[Found]:
        """Assigns ids to the instances of prompted objects, best first.

        Args:
            session: their cloud and prompts; ids of earlier answers are kept.
            masks: predictions by object_id.
            multimask: whether all masks of an object are returned, each with its own id, or only
                the best.
            follow: whether to follow the objects from now on. One already followed for another
                owner, or with another object_id, is then followed twice, with two ids.
            clicked: whether the prompts are clicks in RViz, not from a request.

        Raises:
            Refusal: NO_TRANSFORM or OVERLOADED; they cannot be followed. Nothing is changed then.
        """
        seen = {object_id: _masks(mask, multimask) for object_id, mask in masks.items()}
        best = {object_id: its[0] for object_id, its in seen.items() if its}
        ids = self._ids_of(session, best, follow, clicked) if self.enabled else {}
        found = [
            Found(ids.get(object_id, 0) if each is best[object_id] else 0, object_id, each.instance)
            for object_id, its in seen.items()
            for each in its
        ]
        number = self._ids.new if self.enabled else count(1).__next__
        return [each if each.id else replace(each, id=number()) for each in best_first(found)]

    def nothing_left(self) -> bool:
        """Whether the loss of the last followed object is not published yet; True only once."""
        lost, self._nothing_left = self._nothing_left, False
        return lost and not self.follows

    def look(
        self, cloud: StoredCloud, embedding: Embedding, step_aside: Callable[[], bool]
    ) -> list[Found] | None:
        """Searches for the followed objects in a cloud.

        Returns:
            The objects seen, best first; empty also if the last one was lost. None if undecidable:
            the cloud's pose is not known (the tally records it), `step_aside` returned True, or all
            were seen in newer clouds.
        """
        followed = self.follows
        place = self._ids.awaited_place(cloud, step_aside)
        if place is None:
            return [] if self.nothing_left() else None
        looked_for = self._followed.in_view_of(cloud, place.stamp_s)
        prompts = {
            track_id: prompt
            for track_id, follower in looked_for.items()
            if (prompt := follower.prompt(embedding, *place)) is not None
        }
        answers = self._predictor.segment(embedding, list(prompts.values())) if prompts else []
        missed = looked_for.keys() - prompts.keys()
        for (track_id, prompt), answer in zip(prompts.items(), answers, strict=True):
            instance = looked_for[track_id].see(answer, *place)
            if instance is None:
                missed.add(track_id)
            else:
                self._ids.see(track_id, cloud, place, instance)
                self._seen(track_id, cloud, prompt, answer, _with_box(instance))
        for track_id in missed:
            self._ids.miss(track_id, cloud, place)
        lost = [
            track_id for track_id, follower in looked_for.items() if follower.lost(place.stamp_s)
        ]
        keep_s = self._settings.keep_s
        longer = f"for more than tracking.keep_s = {keep_s:g} s"
        self._followed.lose(lost, f"not seen {longer}")
        self._followed.lose(
            self._followed.ahead_for(place.stamp_s, keep_s),
            f"{longer} the sensor's clouds are older than the one on which it was prompted: is the "
            "clock of its source ahead",
        )
        seen = self._followed.seen_in(cloud)
        gone = self.nothing_left() or (followed and not self.follows)
        return best_first(seen) if looked_for or seen or gone else None

    def release(self, ids: Sequence[int]) -> tuple[list[int], StoredCloud | None]:
        """Stops following objects of any owner; see `FollowedObjects.release`."""
        return self._followed.release(ids)

    def release_clicked(self) -> None:
        """Stops following objects clicked in RViz."""
        self._followed.release_clicked()

    def lose_all(self, why: str) -> StoredCloud | None:
        """Loses all followed objects, and warns why; see `FollowedObjects.lose_all`."""
        self._nothing_left = False  # the caller publishes it
        return self._followed.lose_all(why)

    def close(self, why: str) -> StoredCloud | None:
        """Like `lose_all`, and nothing can be followed any more. Thread-safe."""
        return self._followed.close(why)

    def is_followed(self, track_id: int) -> bool:
        """Whether an object is followed, for any owner."""
        return self._followed.get(track_id) is not None

    def session_of(self, track_id: int) -> Session | None:
        """The cloud in which a clicked object was last seen, with its mask.

        None: it is not followed, or was prompted by a request.
        """
        followed = self._followed.get(track_id)
        return followed.session if followed and followed.owner.clicked else None

    def _forget(self, why: str) -> None:
        """Loses all followed objects, at any point; the next `look` publishes it."""
        if self._followed.lose_all(why) is not None:
            self._nothing_left = True

    def _ids_of(
        self, session: Session, best: Mapping[int, _Seen], follow: bool, clicked: bool
    ) -> dict[int, int]:
        """Ids of objects by object_id; begins to follow them if requested."""
        place_of = self._ids.place if follow else self._ids.place_if_known
        place = place_of(session.cloud)
        owners = {object_id: Owner(object_id, clicked) for object_id in best}
        others = {
            object_id: self._followed.of_others(owner) if follow else set()
            for object_id, owner in owners.items()
        }
        ids = self._recognised(place, session, best, others)
        if place is None:
            return ids
        followed = [
            object_id
            for object_id, owner in owners.items()
            if follow or self._followed.owner(session.objects[object_id].id) == owner
        ]
        self._followed.check_room(
            {ids[object_id] for object_id in followed}, self._settings.max_followed
        )
        for object_id, each in best.items():
            self._ids.see(ids[object_id], session.cloud, place, each.instance)
        for object_id in followed:
            track_id, each = ids[object_id], best[object_id]
            told = replace(session.objects[object_id], id=track_id)
            self._followed.put(
                track_id,
                Followed(
                    owners[object_id],
                    Follower(each.mask, *place, config=self._settings),
                    Found(track_id, object_id, each.instance),
                    Session(session.cloud, {object_id: told}),
                ),
            )
        return ids

    def _recognised(
        self,
        place: StampedPose | None,
        session: Session,
        best: Mapping[int, _Seen],
        others: Mapping[int, set[int]],
    ) -> dict[int, int]:
        """Ids of objects: those known from earlier answers, those recognised, and new ones.

        Args:
            others: for each object, the ids that it cannot have.
        """
        told = {object_id: said.id for object_id, said in session.objects.items() if said.id}
        ids = {
            object_id: track_id
            for object_id, track_id in told.items()
            if object_id in best and track_id not in others[object_id]
        }
        unnamed = [object_id for object_id in best if object_id not in ids]
        if place is None:
            return ids | {object_id: self._ids.new() for object_id in unnamed}
        taken = {track_id for object_id, track_id in told.items() if object_id not in unnamed}
        found = self._ids.of_some(
            place,
            [best[object_id].instance for object_id in unnamed],
            [taken | others[object_id] for object_id in unnamed],
        )
        return ids | dict(zip(unnamed, found, strict=True))

    def _seen(
        self,
        track_id: int,
        cloud: StoredCloud,
        prompt: Prompt,
        answer: Prediction,
        instance: Instance,
    ) -> None:
        """Updates a followed object that was found in a cloud."""
        followed = self._followed.get(track_id)
        if followed is None:  # closed meanwhile
            return
        object_id = followed.owner.object_id
        points, labels = prompt.clicks()
        on = labels == 1  # clicks off it are the follower's guess, which a user may contradict
        told = ObjectClicks(points[on], labels[on], answer.prompt(), track_id)
        followed.session = Session(cloud, {object_id: told})
        followed.found = Found(track_id, object_id, instance)

    @property
    def _settings(self) -> TrackingSettings:
        return self._config().tracking


@dataclass(frozen=True)
class _Seen:
    """A mask of an object, and its instance."""

    mask: Prediction
    instance: Instance


def _masks(prediction: Prediction, multimask: bool) -> list[_Seen]:
    """The non-empty masks of an object, best first."""
    masks = [prediction.choose(which) for which in range(len(prediction))]
    return [
        _Seen(mask, _with_box(instance))
        for mask in (masks if multimask else masks[:1])
        for instance in instances_of(mask)
    ]


def _with_box(instance: Instance) -> Instance:
    _ = instance.box  # takes milliseconds: computed here, not in the executor's thread
    return instance
