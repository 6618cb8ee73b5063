"""The objects that are followed: whose they are, where they were last seen, and how that ends."""

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
    """Who has an object followed, and the number under which it was asked for.

    Attributes:
        object_id: of the request.
        clicked: by a click in RViz, not by a request.
    """

    object_id: int
    clicked: bool


@dataclass
class Followed:
    """A prompted object as it was last seen.

    Attributes:
        owner: may say more about it; nobody else changes what is followed.
        follower: finds it again.
        found: the instance.
        session: its cloud, and what was said about it there: a click goes on from that.
        ahead_from_s: stamp of the first of those clouds that were all older than that one [s].
    """

    owner: Owner
    follower: Follower
    found: Found
    session: Session
    ahead_from_s: float | None = None


class FollowedObjects:
    """Followed objects by id. Only the worker's thread uses it, but for `bool` and `close`.

    Args:
        tally: counts what becomes of them.
        warn: takes what a person should know.
    """

    def __init__(self, tally: Tally, warn: Callable[[str], None]) -> None:
        self._tally = tally
        self._warn = warn
        self._objects: dict[int, Followed] = {}
        self._change = threading.Lock()  # of what is followed
        self._closed = False

    def __bool__(self) -> bool:
        return bool(self._objects)

    def get(self, track_id: int) -> Followed | None:
        """The object of an id; None: it is not followed."""
        return self._objects.get(track_id)

    def owner(self, track_id: int) -> Owner | None:
        """Whose the object of an id is; None: it is not followed."""
        followed = self._objects.get(track_id)
        return followed.owner if followed else None

    def of_others(self, owner: Owner) -> set[int]:
        """Ids of the objects that are not this owner's."""
        return {track_id for track_id, followed in self._objects.items() if followed.owner != owner}

    def in_view_of(self, cloud: StoredCloud, stamp_s: float) -> dict[int, Follower]:
        """Those to look for in a cloud, by id.

        Not those that were seen in it before, or in a newer one: a prompt may have been about that.
        """
        return {
            track_id: followed.follower
            for track_id, followed in self._objects.items()
            if followed.session.cloud is not cloud and followed.follower.seen_s <= stamp_s
        }

    def ahead_for(self, stamp_s: float, most_s: float) -> list[int]:
        """Ids of those whose cloud is newer than all that were looked at for longer than `most_s`.

        Args:
            stamp_s: of the cloud that is looked at now [s].
            most_s: in the clouds' time [s].
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
        """Those that were last seen in this cloud."""
        return [
            followed.found for followed in self._objects.values() if followed.session.cloud is cloud
        ]

    def check_room(self, ids: set[int], most: int) -> None:
        """Whether these can be followed, with the others.

        Raises:
            Refusal: OVERLOADED; more than `most` would be.
        """
        if len(self._objects.keys() | ids) > most:
            raise Refusal(
                Code.OVERLOADED,
                f"{len(self._objects)} objects are followed, with this request it would be "
                f"{len(self._objects.keys() | ids)}, and at most {most} can be: release some by "
                "~/release_objects, ask for fewer, or raise tracking.max_followed",
            )

    def put(self, track_id: int, followed: Followed) -> None:
        """Follows an object from here on, in place of what was known of the id."""
        with self._change:
            if not self._closed:
                self._tally.objects("followed", track_id not in self._objects)
                self._objects[track_id] = followed

    def release(self, ids: Sequence[int]) -> tuple[list[int], StoredCloud | None]:
        """Follows objects no longer.

        Args:
            ids: of the objects; those that are not followed change nothing. Empty: all.

        Returns:
            The ids that were released, and the cloud in which the last of all was seen; None:
            others are still followed, or none was.
        """
        with self._change:
            released = sorted(self._objects.keys() & (set(ids) or self._objects.keys()))
            clouds = [self._objects.pop(track_id).session.cloud for track_id in released]
            self._tally.objects("released", len(clouds))
            return released, clouds[-1] if clouds and not self._objects else None

    def release_clicked(self) -> None:
        """Follows no longer what was clicked."""
        clicked = [
            track_id for track_id, followed in self._objects.items() if followed.owner.clicked
        ]
        if clicked:
            self.release(clicked)

    def lose(self, ids: Sequence[int], why: str) -> None:
        """Follows objects no longer, and says so."""
        with self._change:
            lost = {
                track_id: self._objects.pop(track_id)
                for track_id in ids
                if track_id in self._objects
            }
        self._tell_lost(lost, why)

    def lose_all(self, why: str) -> StoredCloud | None:
        """As `lose`, for all of them.

        Returns:
            The cloud in which the last of them was seen; None: none was followed.
        """
        with self._change:
            lost, self._objects = self._objects, {}
        self._tell_lost(lost, why)
        clouds = [followed.session.cloud for followed in lost.values()]
        return clouds[-1] if clouds else None

    def close(self, why: str) -> StoredCloud | None:
        """As `lose_all`; nothing is followed from here on. Any thread may do it."""
        with self._change:
            self._closed = True
        return self.lose_all(why)

    def _tell_lost(self, lost: Mapping[int, Followed], why: str) -> None:
        self._tally.objects("lost", len(lost))
        for track_id, followed in lost.items():
            number = followed.owner.object_id
            self._warn(f"object {number} with the id {track_id} is lost: {why}; prompt it again")
