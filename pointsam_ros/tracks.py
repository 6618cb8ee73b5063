"""Ids that stay with objects, and prompted objects that are followed from cloud to cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeVar

from pointsam_model import Embedding, Follower, Instance, Prediction, Predictor
from pointsam_model.instances import instances_of
from pointsam_ros.answers import Found
from pointsam_ros.cloud_store import CloudStore, StoredCloud
from pointsam_ros.config import NodeConfig, TrackingSettings
from pointsam_ros.refusal import Code, Refusal
from pointsam_ros.sessions import ObjectClicks, Session
from pointsam_ros.tally import Tally
from pointsam_ros.track_ids import Place, TrackIds
from pointsam_ros.transforms import Lookup

Where = TypeVar("Where", Place, "Place | None")


@dataclass
class _Followed:
    """A prompted object as it was last seen.

    Attributes:
        object_id: of the request that began it.
        follower: finds it again.
        found: the instance.
        session: its cloud, and what was said about it there: a click goes on from that.
    """

    object_id: int
    follower: Follower
    found: Found
    session: Session


class Tracks:
    """Gives instances their ids. Only the worker's thread uses it, but for `follows`.

    Without `tracking.enabled` ids count from 1 in each answer and nothing is followed.

    Args:
        predictor: finds followed objects again.
        store: the sensor's clouds.
        config: gives the settings as they are now.
        lookup: where coordinate frames are.
        tally: counts what becomes of followed objects.
        warn: takes what a person should know.
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
        self._tally = tally
        self._warn = warn
        self._ids = TrackIds(store, config, lookup)
        self._world = self._ids.worlds
        self._followed: dict[int, _Followed] = {}

    @property
    def follows(self) -> bool:
        """Whether an object is followed; any thread may ask."""
        return bool(self._followed)

    @property
    def enabled(self) -> bool:
        """Whether ids stay with objects."""
        return self._config().tracking.enabled

    def proposed(self, cloud: StoredCloud, instances: Sequence[Instance]) -> list[Found]:
        """All instances of a cloud with their ids, in their order.

        One that is followed has its object's id and object_id.
        """
        if not self.enabled:
            return [Found(number, 0, it) for number, it in enumerate(instances, start=1)]
        place = self._place_if_known(cloud)
        if place is None:
            ids = [self._ids.new() for _ in instances]
        else:
            ids = self._ids.of_whole(cloud, place, instances)
        return [
            Found(known, self._object_id(known), it)
            for known, it in zip(ids, instances, strict=True)
        ]

    def with_followed(self, cloud: StoredCloud, found: Sequence[Found]) -> list[Found]:
        """These, and the followed objects that were seen in this cloud and are not among them."""
        known = {it.id for it in found}
        seen = self._seen_in(cloud) if self.enabled else []
        return _best_first([*found, *(it for it in seen if it.id not in known)])

    def prompted(
        self,
        session: Session,
        masks: Mapping[int, Prediction],
        multimask: bool,
        follow: bool,
    ) -> list[Found]:
        """Instances of prompted objects with their ids, best first.

        Args:
            session: their cloud, and what was said about them; the ids of earlier answers stay.
            masks: of each object, by object_id.
            multimask: every mask of an object, else its best; the others get ids of their own.
            follow: the objects are followed from here on.

        Raises:
            Refusal: NO_TRANSFORM or OVERLOADED; they cannot be followed. Nothing has changed then.
        """
        seen = {object_id: _seen(mask, multimask) for object_id, mask in masks.items()}
        best = {object_id: its[0] for object_id, its in seen.items() if its}
        ids = self._ids_of(session, best, follow) if self.enabled else {}
        found = [
            Found(ids.get(object_id, 0) if it is best[object_id] else 0, object_id, it.instance)
            for object_id, its in seen.items()
            for it in its
        ]
        number = self._ids.new if self.enabled else count(1).__next__
        return [it if it.id else replace(it, id=number()) for it in _best_first(found)]

    def look(
        self, cloud: StoredCloud, embedding: Embedding, step_aside: Callable[[], bool]
    ) -> list[Found] | None:
        """Looks for the followed objects in a cloud; those that were seen, best first.

        Returns:
            None where nobody can tell: the cloud's place is not known (the tally is told), or
            `step_aside` said that the work is to end.
        """
        place = self._awaited_place(cloud, step_aside)
        if place is None:
            return None
        prompts = {
            known: prompt
            for known, it in self._followed.items()
            if (prompt := it.follower.prompt(embedding, *place)) is not None
        }
        answers = self._predictor.segment(embedding, list(prompts.values())) if prompts else []
        for (known, prompt), answer in zip(prompts.items(), answers, strict=True):
            it = self._followed[known]
            instance = it.follower.see(answer, *place)
            if instance is not None:
                self._ids.see(known, cloud, place, instance)
                points, labels = prompt.clicks()
                told = ObjectClicks(points, labels, answer.prompt(), known)
                it.session = Session(cloud, {it.object_id: told})
                it.found = Found(known, it.object_id, _with_box(instance))
        lost = [known for known, it in self._followed.items() if it.follower.lost(place.stamp_s)]
        self._lose(lost, f"not seen for more than tracking.keep_s = {self._settings.keep_s:g} s")
        return _best_first(self._seen_in(cloud))

    def release(self, ids: Sequence[int]) -> tuple[list[int], StoredCloud | None]:
        """Follows objects no longer.

        Args:
            ids: of the objects; those that are not followed change nothing. Empty: all.

        Returns:
            The ids that were released, and the cloud in which the last of all was seen; None:
            others are still followed, or none was.
        """
        released = sorted(self._followed.keys() & (set(ids) or self._followed.keys()))
        clouds = [self._followed.pop(known).session.cloud for known in released]
        self._tally.objects("released", len(clouds))
        return released, clouds[-1] if clouds and not self._followed else None

    def session_of(self, known: int) -> Session | None:
        """The cloud in which a followed object was last seen, and its mask; None: not followed."""
        it = self._followed.get(known)
        return it.session if it else None

    def _ids_of(self, session: Session, best: Mapping[int, _Seen], follow: bool) -> dict[int, int]:
        """Ids of objects by object_id; follows those that are to be followed."""
        place = self._place(session.cloud) if follow else self._place_if_known(session.cloud)
        known = {object_id: session.objects[object_id].id for object_id in best}
        ids = self._recognised(place, best, known)
        if place is None:
            return ids
        followed = {
            object_id: ids[object_id]
            for object_id in best
            if follow or known[object_id] in self._followed
        }
        self._check_room(set(followed.values()))
        for object_id, it in best.items():
            self._ids.see(ids[object_id], session.cloud, place, it.instance)
        for object_id, known_id in followed.items():
            it = best[object_id]
            follower = Follower(it.mask, *place, config=self._settings)
            told = replace(session.objects[object_id], id=known_id)
            self._tally.objects("followed", known_id not in self._followed)
            self._followed[known_id] = _Followed(
                object_id,
                follower,
                Found(known_id, object_id, it.instance),
                Session(session.cloud, {object_id: told}),
            )
        return ids

    def _recognised(
        self, place: Place | None, best: Mapping[int, _Seen], known: Mapping[int, int]
    ) -> dict[int, int]:
        """Ids of objects: those known from earlier answers, those recognised, and new ones."""
        ids = dict(known)
        unnamed = [object_id for object_id in best if not known[object_id]]
        instances = [best[object_id].instance for object_id in unnamed]
        if place is None:
            return ids | {object_id: self._ids.new() for object_id in unnamed}
        found = self._ids.of_some(place, instances)
        taken = set(known.values())
        for object_id, it in zip(unnamed, found, strict=True):
            ids[object_id] = self._ids.new() if it in taken else it
        return ids

    def _check_room(self, ids: set[int]) -> None:
        most = self._settings.max_followed
        if len(self._followed.keys() | ids) > most:
            raise Refusal(
                Code.OVERLOADED,
                f"{len(self._followed)} objects are followed, and at most {most} can be: release "
                "some by ~/release_objects, or raise tracking.max_followed",
            )

    @property
    def _settings(self) -> TrackingSettings:
        return self._config().tracking

    def _seen_in(self, cloud: StoredCloud) -> list[Found]:
        return [it.found for it in self._followed.values() if it.session.cloud is cloud]

    def _object_id(self, known: int) -> int:
        it = self._followed.get(known)
        return it.object_id if it else 0

    def _place(self, cloud: StoredCloud) -> Place:
        return self._told(cloud, lambda: self._ids.place(cloud))

    def _place_if_known(self, cloud: StoredCloud) -> Place | None:
        try:
            return self._place(cloud)
        except Refusal:
            return None

    def _awaited_place(self, cloud: StoredCloud, step_aside: Callable[[], bool]) -> Place | None:
        if not self.enabled:
            self._lose(list(self._followed), "tracking.enabled is false")
            return None
        try:
            return self._told(cloud, lambda: self._ids.awaited_place(cloud, step_aside))
        except Refusal:
            return None

    def _told(self, cloud: StoredCloud, place: Callable[[], Where]) -> Where:
        """A place; the tally is told where there is none. Another world has lost all objects."""
        try:
            found = place()
        except Refusal as error:
            if not cloud.attached:
                self._tally.unrecognisable(error.message)
            raise
        finally:
            if self._ids.worlds != self._world:
                self._world = self._ids.worlds
                self._lose(list(self._followed), "the clouds' time or coordinate frame changed")
        if not cloud.attached:
            self._tally.unrecognisable("")
        return found

    def _lose(self, ids: Sequence[int], why: str) -> None:
        for known in ids:
            it = self._followed.pop(known)
            self._tally.objects("lost")
            self._warn(f"object {it.object_id} with the id {known} is lost: {why}; prompt it again")


@dataclass(frozen=True)
class _Seen:
    """One mask of an object, and its instance."""

    mask: Prediction
    instance: Instance


def _seen(prediction: Prediction, multimask: bool) -> list[_Seen]:
    """The masks of an object that hold points, best first."""
    masks = [prediction.choose(which) for which in range(len(prediction))]
    return [
        _Seen(mask, _with_box(instance))
        for mask in (masks if multimask else masks[:1])
        for instance in instances_of(mask)
    ]


def _with_box(instance: Instance) -> Instance:
    _ = instance.box  # takes milliseconds: computed here, not in the executor's thread
    return instance


def _best_first(found: Sequence[Found]) -> list[Found]:
    return sorted(found, key=lambda it: -it.instance.score)
