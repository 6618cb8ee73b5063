"""Persistent ids: matches instances to known objects in a fixed coordinate frame."""

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
        transform: (4, 4) from its coordinate frame to the tracking frame; None: identity.
    """

    stamp_s: float
    transform: NDArray[np.float64] | None


class TrackIds:
    """Recognises objects in the store's clouds by their position. For the worker's thread only.

    Instances of an attached cloud, or of one older than the last complete one, are matched to known
    objects but do not update them.

    Args:
        store: the sensor's clouds; when their time jumps, all objects are forgotten.
        config: returns the current settings.
        lookup: finds transforms between coordinate frames.
        tally: records whether the sensor's clouds have a known pose.
        on_forgotten: called with the reason when all objects are forgotten.
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
        self._frame: str | None = None  # the frame of the tracks
        self._jumps = store.jumps
        self._newest_s = 0.0

    def place(self, cloud: StoredCloud) -> StampedPose:
        """When and where a cloud was measured, as known now; the tally records if it is not.

        Raises:
            Refusal: NO_TRANSFORM, or MissingTransform if it may still arrive.
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
        """Like `place`, but None instead of a refusal."""
        try:
            return self.place(cloud)
        except Refusal:
            return None

    def awaited_place(
        self, cloud: StoredCloud, step_aside: Callable[[], bool]
    ) -> StampedPose | None:
        """Like `place_if_known`, but waits up to `transforms.timeout_s` and lets others run.

        Returns:
            None also if `step_aside` returned True.
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
        """Ids for all instances of a cloud; known objects not among them count as missing."""
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
        """Ids for some of a cloud's instances.

        Args:
            exclude: for each instance, the ids that it cannot have; empty: no restriction.
        """
        self._tracker.config = self._config().tracking
        found = self._tracker.recognise(instances, *place, exclude=exclude)
        return [track_id or self.new() for track_id in found]

    def see(
        self, track_id: int, cloud: StoredCloud, place: StampedPose, instance: Instance
    ) -> None:
        """Records where the object with an id is."""
        if self._is_sensors(cloud):
            self._tracker.see(track_id, instance, *place)

    def miss(self, track_id: int, cloud: StoredCloud, place: StampedPose) -> None:
        """Records that the object with an id was searched for in a cloud and not found."""
        if self._is_sensors(cloud):
            self._tracker.miss(track_id, place.stamp_s)

    def new(self) -> int:
        """Reserves a new id."""
        return self._tracker.new_id()

    def _may_come(self, cloud: StoredCloud) -> bool:
        """Whether a cloud's pose is not known yet, but may be soon."""
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
        """Forgets all objects if time jumped or the tracking frame changed."""
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
