"""The followed objects: their owners, where they were last seen, and how following ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pointsam_model import Follower
from pointsam_ros.clouds.cloud_store import StoredCloud
from pointsam_ros.codes import Code
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.found import Found
from pointsam_ros.refusal import Refusal
from pointsam_ros.requests.sessions import Session


class Owner(NamedTuple):
    """Where a followed object comes from.

    Attributes:
        object_id: its object_id in the request.
        clicked: whether it was clicked in RViz, not prompted by a request.
    """

    object_id: int
    clicked: bool


@dataclass
class Followed:
    """A prompted object as it was last seen.

    Attributes:
        owner: the only one whose prompts change what is followed.
        follower: finds the object again.
        found: the instance.
        session: its cloud and the prompts on it, which a further click refines.
        ahead_from_s: stamp of the first of those later clouds that are all older than its own [s].
    """

    owner: Owner
    follower: Follower
    found: Found
    session: Session
    ahead_from_s: float | None = None


class FollowedObjects:
    """Followed objects by id. For the worker's thread only, except `bool` and `close`.

    Args:
        tally: counts objects and their outcomes.
        warn: logs a warning.
    """

    def __init__(self, tally: Tally, warn: Callable[[str], None]) -> None:
        self._tally = tally
        self._warn = warn
        self._objects: dict[int, Followed] = {}
        self._change = threading.Lock()  # guards changes of the followed objects
        self._closed = False

    def __bool__(self) -> bool:
        return bool(self._objects)

    def get(self, track_id: int) -> Followed | None:
        """The followed object with an id, or None."""
        return self._objects.get(track_id)

    def owner(self, track_id: int) -> Owner | None:
        """The owner of the object with an id; None: it is not followed."""
        followed = self._objects.get(track_id)
        return followed.owner if followed else None

    def of_others(self, owner: Owner) -> set[int]:
        """Ids of all objects with another owner."""
        return {track_id for track_id, followed in self._objects.items() if followed.owner != owner}

    def in_view_of(self, cloud: StoredCloud, stamp_s: float) -> dict[int, Follower]:
        """The objects to search for in a cloud, by id.

        Without those already seen in it or in a newer one, which may have been prompted.
        """
        return {
            track_id: followed.follower
            for track_id, followed in self._objects.items()
            if followed.session.cloud is not cloud and followed.follower.seen_s <= stamp_s
        }

    def ahead_for(self, stamp_s: float, most_s: float) -> list[int]:
        """Ids of objects whose cloud is newer than all those searched for more than `most_s`.

        Args:
            stamp_s: stamp of the cloud searched now [s].
            most_s: longest time, measured by the clouds' stamps [s].
        """
        ids = []
        for track_id, followed in self._objects.items():
            if followed.follower.seen_s <= stamp_s:
                followed.ahead_from_s = None
                continue
            if followed.ahead_from_s is None:
                followed.ahead_from_s = stamp_s
            if stamp_s - followed.ahead_from_s > most_s:
                ids.append(track_id)
        return ids

    def seen_in(self, cloud: StoredCloud) -> list[Found]:
        """The objects last seen in this cloud."""
        return [
            followed.found for followed in self._objects.values() if followed.session.cloud is cloud
        ]

    def check_room(self, ids: set[int], most: int) -> None:
        """Checks that these can be followed in addition to the others.

        Raises:
            Refusal: OVERLOADED; there would be more than `most`.
        """
        if len(self._objects.keys() | ids) > most:
            raise Refusal(
                Code.OVERLOADED,
                f"{len(self._objects)} objects are followed, with this request it would be "
                f"{len(self._objects.keys() | ids)}, and at most {most} can be: release some by "
                "~/release_objects, ask for fewer, or raise tracking.max_followed",
            )

    def put(self, track_id: int, followed: Followed) -> None:
        """Follows an object from now on, replacing any with the same id."""
        with self._change:
            if not self._closed:
                self._tally.objects("followed", track_id not in self._objects)
                self._objects[track_id] = followed

    def release(self, ids: Sequence[int]) -> tuple[list[int], StoredCloud | None]:
        """Stops following objects.

        Args:
            ids: ids of the objects; those that are not followed are ignored. Empty: all.

        Returns:
            The ids that were released, and the cloud in which the last object was seen; None:
            others are still followed, or none was.
        """
        with self._change:
            released = sorted(self._objects.keys() & (set(ids) or self._objects.keys()))
            clouds = [self._objects.pop(track_id).session.cloud for track_id in released]
            self._tally.objects("released", len(clouds))
            return released, clouds[-1] if clouds and not self._objects else None

    def release_clicked(self) -> None:
        """Stops following clicked objects."""
        clicked = [
            track_id for track_id, followed in self._objects.items() if followed.owner.clicked
        ]
        if clicked:
            self.release(clicked)

    def lose(self, ids: Sequence[int], why: str) -> None:
        """Stops following objects, and warns why."""
        with self._change:
            lost = {
                track_id: self._objects.pop(track_id)
                for track_id in ids
                if track_id in self._objects
            }
        self._tell_lost(lost, why)

    def lose_all(self, why: str) -> StoredCloud | None:
        """Like `lose`, for all objects.

        Returns:
            The cloud in which the last of them was seen; None: none was followed.
        """
        with self._change:
            lost, self._objects = self._objects, {}
        self._tell_lost(lost, why)
        clouds = [followed.session.cloud for followed in lost.values()]
        return clouds[-1] if clouds else None

    def close(self, why: str) -> StoredCloud | None:
        """Like `lose_all`, and nothing can be followed any more. Thread-safe."""
        with self._change:
            self._closed = True
        return self.lose_all(why)

    def _tell_lost(self, lost: Mapping[int, Followed], why: str) -> None:
        self._tally.objects("lost", len(lost))
        for track_id, followed in lost.items():
            number = followed.owner.object_id
            self._warn(f"object {number} with the id {track_id} is lost: {why}; prompt it again")
