"""The sensor's position when a cloud was measured, from tf2: the parameter `clouds.sensor_frame`.

It improves answers and is never waited for. If it is not known, a cloud is answered as if the
parameter were empty, and the diagnostics and the log say why.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pointsam_model import FARTHEST_M, Cloud
from pointsam_ros.clouds.cloud_store import StoredCloud
from pointsam_ros.config import NodeConfig
from pointsam_ros.health.rarely import Rarely
from pointsam_ros.health.tally import Tally
from pointsam_ros.requests.transforms import Gap, Lookup, NoTransformError, Transform

# A broadcaster is often some cycles behind the sensor. Meanwhile a robot moves by a hand's breadth,
# and from a few metres away that changes nothing; what is older says nothing of a moving sensor.
NEWEST_WITHIN_S = 0.2


class NoPlaceError(Exception):
    """The sensor's position is not known; says why, and what to do."""


class Viewpoints:
    """Sets the viewpoint of clouds to their sensor's position. For the worker's thread only.

    Args:
        config: returns the current settings.
        lookup: finds transforms between coordinate frames.
        tally: records whether the position is known for the sensor's clouds.
        warn: logs a warning.
    """

    def __init__(
        self,
        config: Callable[[], NodeConfig],
        lookup: Lookup,
        tally: Tally,
        warn: Callable[[str], None],
    ) -> None:
        self._config = config
        self._lookup = lookup
        self._tally = tally
        self._warn = Rarely(warn)

    def viewed(self, cloud: StoredCloud, source: Cloud) -> Cloud:
        """The decoded cloud with its sensor's position as viewpoint; unchanged if not known.

        An attached cloud may be of another sensor, or a map: its viewpoint is set only if its
        points were clearly seen from there, and there is no warning otherwise.
        """
        sensor = self._config().clouds.sensor_frame.lstrip("/")
        place, reason = None, ""
        try:
            place = self._place(sensor, cloud) if sensor else None
        except NoPlaceError as error:
            reason = str(error)
        if not cloud.attached:
            self._complain(reason)
        elif place is not None and not source.seen_from(place):
            place = None
        return source if place is None else source.viewed_from(place)

    def tell(self, cloud: StoredCloud, source: Cloud) -> None:
        """Records the sensor's position in the tally, from `viewed` or inferred from the cloud.

        It is inferred only where answers depend on it.
        """
        if cloud.attached:
            return
        if source.viewpoint is not None:
            self._tally.sensor_at(_told(source.viewpoint, cloud.frame_id, "tf2"))
        elif not self._config().predictor.geometry:
            self._tally.sensor_at("")
        elif source.sensor is not None:
            self._tally.sensor_at(_told(source.sensor, cloud.frame_id, "the cloud itself"))
        else:
            self._tally.sensor_at("not known")

    def _complain(self, reason: str) -> None:
        """Reports why the position is not known, with rate-limited logging; empty: it is known."""
        self._tally.sensor_missing(reason)
        if reason:
            self._warn(
                f"{reason}. Clouds are answered nevertheless, but first clicks are worse if the "
                "sensor's position cannot be inferred from the cloud"
            )

    def _place(self, sensor: str, cloud: StoredCloud) -> NDArray[np.float64]:
        """The position (3,) [m] of the frame `sensor` in the cloud's frame; never waits.

        Raises:
            NoPlaceError: there is no transform near the cloud's time.
        """
        frame = cloud.frame_id.lstrip("/")
        if frame == sensor:
            return np.zeros(3)
        if not frame:
            raise NoPlaceError(
                f"clouds.sensor_frame is {sensor!r}, but the cloud's header has an empty frame_id: "
                "name the frame in the driver"
            )
        try:
            place = self._nearest_in_time(frame, sensor, cloud.stamp_ns).translation
        except NoTransformError as error:
            raise NoPlaceError(
                f"no transform gives the sensor's position (clouds.sensor_frame {sensor!r}) in the "
                f"clouds' frame {frame!r}: {error.gap.value}. In detail: {error}"
            ) from error
        if not (np.abs(place) <= FARTHEST_M).all():  # true for NaN
            raise NoPlaceError(
                f"the transform from the sensor (clouds.sensor_frame {sensor!r}) to the clouds' "
                f"frame {frame!r} has the translation {place.tolist()}, not a position [m]: "
                "check what its broadcaster sends"
            )
        return place

    def _nearest_in_time(self, frame: str, sensor: str, stamp_ns: int) -> Transform:
        """The transform at the cloud's time, else the newest one if it is close in time.

        Raises:
            NoTransformError: there is none.
            NoPlaceError: the newest is too far off in time.
        """
        try:
            return self._lookup(frame, sensor, stamp_ns)
        except NoTransformError as error:
            if error.gap is not Gap.OTHER_TIME:
                raise
        newest = self._lookup(frame, sensor, 0)
        late_s = (stamp_ns - newest.stamp_ns) / 1e9 if newest.stamp_ns else 0.0
        if abs(late_s) > NEWEST_WITHIN_S:
            than = "older than" if late_s > 0 else "newer than"
            raise NoPlaceError(
                f"the newest transform from the sensor (clouds.sensor_frame {sensor!r}) to the "
                f"clouds' frame {frame!r} is {abs(late_s):.1f} s {than} "
                f"the cloud, more than {NEWEST_WITHIN_S:g} s: check that its broadcaster is "
                "running, and that its clock and the sensor's agree"
            )
        return newest


def _told(place: NDArray[np.float64], frame: str, by: str) -> str:
    """Formats a position for messages."""
    return f"({', '.join(f'{metres:.3f}' for metres in place)}) m in {frame!r}, by {by}"
