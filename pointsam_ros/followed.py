"""The objects that are followed: whose they are, where they were last seen, and how that ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pointsam_model import Follower
from pointsam_ros.answers import Found
from pointsam_ros.cloud_store import StoredCloud
from pointsam_ros.refusal import Code, Refusal
from pointsam_ros.sessions import Session
from pointsam_ros.tally import Tally


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
    """

    owner: Owner
    follower: Follower
    found: Found
    session: Session


class FollowedObjects:
    """Followed objects by id. Only the worker's thread uses it, but for `bool`.

    Args:
        tally: counts what becomes of them.
        warn: takes what a person should know.
    """

    def __init__(self, tally: Tally, warn: Callable[[str], None]) -> None:
        self._tally = tally
        self._warn = warn
        self._objects: dict[int, Followed] = {}

    def __bool__(self) -> bool:
        return bool(self._objects)

    def __getitem__(self, known: int) -> Followed:
        return self._objects[known]

    def get(self, known: int) -> Followed | None:
        """The object of an id; None: it is not followed."""
        return self._objects.get(known)

    def owner(self, known: int) -> Owner | None:
        """Whose the object of an id is; None: it is not followed."""
        it = self._objects.get(known)
        return it.owner if it else None

    def of_others(self, owner: Owner) -> set[int]:
        """Ids of the objects that are not this owner's."""
        return {known for known, it in self._objects.items() if it.owner != owner}

    def in_view_of(self, cloud: StoredCloud, stamp_s: float) -> dict[int, Follower]:
        """Those to look for in a cloud, by id.

        Not those that were seen in it before, or in a newer one: a prompt may have been about that.
        """
        return {
            known: it.follower
            for known, it in self._objects.items()
            if it.session.cloud is not cloud and it.follower.seen_s <= stamp_s
        }

    def seen_in(self, cloud: StoredCloud) -> list[Found]:
        """Those that were last seen in this cloud."""
        return [it.found for it in self._objects.values() if it.session.cloud is cloud]

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

    def put(self, known: int, it: Followed) -> None:
        """Follows an object from here on, in place of what was known of the id."""
        self._tally.objects("followed", known not in self._objects)
        self._objects[known] = it

    def release(self, ids: Sequence[int]) -> tuple[list[int], StoredCloud | None]:
        """Follows objects no longer.

        Args:
            ids: of the objects; those that are not followed change nothing. Empty: all.

        Returns:
            The ids that were released, and the cloud in which the last of all was seen; None:
            others are still followed, or none was.
        """
        released = sorted(self._objects.keys() & (set(ids) or self._objects.keys()))
        clouds = [self._objects.pop(known).session.cloud for known in released]
        self._tally.objects("released", len(clouds))
        return released, clouds[-1] if clouds and not self._objects else None

    def release_clicked(self) -> None:
        """Follows no longer what was clicked."""
        clicked = [known for known, it in self._objects.items() if it.owner.clicked]
        if clicked:
            self.release(clicked)

    def lose(self, ids: Sequence[int], why: str) -> None:
        """Follows objects no longer, and says so."""
        for known in ids:
            number = self._objects.pop(known).owner.object_id
            self._tally.objects("lost")
            self._warn(f"object {number} with the id {known} is lost: {why}; prompt it again")

    def lose_all(self, why: str) -> None:
        """As `lose`, for all of them."""
        self.lose(list(self._objects), why)
