"""Which object an instance is: ids that stay, in a coordinate frame that stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointsam_model import Instance, Tracker
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud
from pointsam_ros.codes import Code
from pointsam_ros.config import NodeConfig
from pointsam_ros.health.tally import Tally
from pointsam_ros.refusal import Refusal
from pointsam_ros.requests.transforms import Lookup, MissingTransform, TransformQuery, look_up

POLL_S = 0.01
FIXED = "leave tracking.frame empty where the camera stands still"


class StampedPose(NamedTuple):
    """When and where a cloud was measured.

    Attributes:
        stamp_s: time [s].
        transform: (4, 4) from its coordinate frame into the tracking frame; None: they are one.
    """

    stamp_s: float
    transform: NDArray[np.float64] | None


class TrackIds:
    """Knows the objects of the store's clouds by where they are. Only the worker's thread uses it.

    A cloud that came with a request, or is older than the last whole one, is looked at with what is
    known, and teaches nothing.

    Args:
        store: the sensor's clouds; when their time jumps, all is forgotten.
        config: gives the settings as they are now.
        lookup: where coordinate frames are.
        tally: is told of the sensor's clouds whether their place is known.
        on_forgotten: is told why when all is forgotten: another time or another frame begins.
    """

    def __init__(
        self,
        store: CloudStore,
        config: Callable[[], NodeConfig],
        lookup: Lookup,
        tally: Tally,
        on_forgotten: Callable[[str], object],
    ) -> None:
        self._store = store
        self._config = config
        self._lookup = lookup
        self._tally = tally
        self._on_forgotten = on_forgotten
        self._tracker = Tracker(config().tracking)
        self._frame: str | None = None  # to which the tracks belong
        self._jumps = store.jumps
        self._newest_s = 0.0

    def place(self, cloud: StoredCloud) -> StampedPose:
        """Where a cloud was measured, as far as is known now; the tally is told if it is not.

        Raises:
            Refusal: NO_TRANSFORM, or MissingTransform where one may still come.
        """
        try:
            place = self._place(cloud)
        except Refusal as error:
            if not cloud.attached:
                self._tally.unrecognisable(error.message)
            raise
        if not cloud.attached:
            self._tally.unrecognisable("")
        return place

    def place_if_known(self, cloud: StoredCloud) -> StampedPose | None:
        """As `place`; None where it raises."""
        try:
            return self.place(cloud)
        except Refusal:
            return None

    def awaited_place(
        self, cloud: StoredCloud, step_aside: Callable[[], bool]
    ) -> StampedPose | None:
        """As `place_if_known`; waits for `transforms.timeout_s`, and lets others run meanwhile.

        Returns:
            None also where `step_aside` says that the work is to end.
        """
        deadline = time.monotonic() + self._config().transforms.timeout_s
        while self._may_come(cloud) and time.monotonic() < deadline:
            if step_aside():
                return None
            time.sleep(POLL_S)
        return self.place_if_known(cloud)

    def of_whole(
        self, cloud: StoredCloud, place: StampedPose, instances: Sequence[Instance]
    ) -> list[int]:
        """Ids of all instances of a cloud; those that are known and missing count as hidden."""
        self._tracker.config = self._config().tracking
        if self._is_sensors(cloud) and place.stamp_s >= self._newest_s:
            self._newest_s = place.stamp_s
            return self._tracker.update(instances, *place)
        return self.of_some(place, instances)

    def of_some(
        self,
        place: StampedPose,
        instances: Sequence[Instance],
        exclude: Sequence[Collection[int]] = (),
    ) -> list[int]:
        """Ids of some of a cloud's instances.

        Args:
            exclude: of each instance the ids that it cannot have; empty: it can have any.
        """
        self._tracker.config = self._config().tracking
        found = self._tracker.recognise(instances, *place, exclude=exclude)
        return [track_id or self.new() for track_id in found]

    def see(
        self, track_id: int, cloud: StoredCloud, place: StampedPose, instance: Instance
    ) -> None:
        """Remembers where the object of an id is."""
        if self._is_sensors(cloud):
            self._tracker.see(track_id, instance, *place)

    def miss(self, track_id: int, cloud: StoredCloud, place: StampedPose) -> None:
        """Remembers that the object of an id was looked for in a cloud, and not found."""
        if self._is_sensors(cloud):
            self._tracker.miss(track_id, place.stamp_s)

    def new(self) -> int:
        """An id that no instance has or will have."""
        return self._tracker.new_id()

    def _may_come(self, cloud: StoredCloud) -> bool:
        """Whether a cloud's place is not known yet, and may be known soon."""
        try:
            self._place(cloud)
        except Refusal as error:
            return isinstance(error, MissingTransform)
        return False

    def _place(self, cloud: StoredCloud) -> StampedPose:
        frame = self._config().tracking.frame.lstrip("/")
        source = cloud.frame_id.lstrip("/")
        self._begin_anew_if(frame, source, self._is_sensors(cloud))
        stamp_s = cloud.time_ns / 1e9
        if not frame and source != (self._frame or source):
            raise Refusal(
                Code.NO_TRANSFORM,
                f"the cloud is in the coordinate frame {source!r}, the clouds before it are in "
                f"{self._frame!r}: set tracking.frame to a fixed frame",
            )
        if frame in ("", source):
            return StampedPose(stamp_s, None)
        if not source:
            raise Refusal(
                Code.NO_TRANSFORM,
                f"tracking.frame is {frame!r}, but the cloud's header has an empty frame_id: name "
                "the frame in the driver",
            )
        query = TransformQuery(frame, source, cloud.stamp_ns, FIXED)
        return StampedPose(stamp_s, look_up(query, self._lookup).matrix)

    def _begin_anew_if(self, frame: str, source: str, is_sensors: bool) -> None:
        """Forgets all where time jumped, or the tracks' frame is another from now on."""
        jumps, fixed = self._store.jumps, frame or source
        decides = bool(frame) or is_sensors or self._frame is None
        has_moved = decides and fixed != self._frame
        why = ""
        if jumps != self._jumps:
            why = "the clouds' time jumped back"
        elif has_moved and self._frame is not None:
            why = (
                f"objects are recognised in the coordinate frame {fixed!r} from now on, not in "
                f"{self._frame!r} (tracking.frame; where that is empty, the sensor's frame_id)"
            )
        if why:
            self._tracker.reset()
            self._newest_s = 0.0
            self._on_forgotten(why)
        self._jumps = jumps
        if has_moved:
            self._frame = fixed

    def _is_sensors(self, cloud: StoredCloud) -> bool:
        return not cloud.attached and cloud in self._store
