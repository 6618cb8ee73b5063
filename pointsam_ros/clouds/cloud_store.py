"""The store of the newest clouds, with their embeddings."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from sensor_msgs.msg import PointCloud2

from pointsam_model import Cloud, CloudLayout, Embedding
from pointsam_model.errors import CloudError
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.codes import Code
from pointsam_ros.config import CloudSettings, LimitSettings
from pointsam_ros.refusal import Refusal

REFUSED = 100  # refused clouds whose stamps and reasons are remembered
AHEAD_S, BEHIND_S = 1.0, 10.0  # a stamp farther from the arrival is from another clock [s]
OTHER_CLOCK_S = 3600.0  # a request's stamp so far from all clouds' is from another clock [s]
JUMP_BACK_S = 2.0  # two successive clouds older than the newest by this: time jumped back [s]


@dataclass(eq=False)
class StoredCloud:
    """A cloud whose message was accepted; decoded and embedded only when needed.

    Attributes:
        msg: the source message, never modified.
        layout: the layout of its points.
        stamp_ns: the stamp in its header [ns]; 0: none.
        arrived_ns: the node's time of its arrival [ns].
        attached: whether it was attached to a request, not sent by the sensor.
        embedding: set by the worker's thread; None: not embedded.
    """

    msg: PointCloud2
    layout: CloudLayout
    stamp_ns: int
    arrived_ns: int
    attached: bool = False
    embedding: Embedding | None = field(default=None, repr=False)

    @classmethod
    def from_msg(
        cls, msg: PointCloud2, arrived_ns: int, limits: LimitSettings, attached: bool = False
    ) -> StoredCloud:
        """Checks the message's size and layout, but not its points; copies nothing.

        Raises:
            CloudError: the message is malformed or exceeds one of the limits.
        """
        _check_size(msg, limits)
        layout = cloud_msgs.layout_of(msg)
        return cls(msg, layout, stamp_ns(msg.header.stamp), arrived_ns, attached)

    @property
    def frame_id(self) -> str:
        return str(self.msg.header.frame_id)

    @property
    def size(self) -> int:
        """Number of points, width * height."""
        return self.layout.width * self.layout.height

    def read(self, device: str = "cpu") -> Cloud:
        """Decodes the cloud on a device.

        Raises:
            CloudError: it has no valid point.
        """
        return Cloud.from_buffer(cloud_msgs.data_of(self.msg), self.layout, device)

    @property
    def offset_s(self) -> float:
        """Time from its stamp to its arrival [s]: the latency, if sensor and node share a clock."""
        return (self.arrived_ns - self.stamp_ns) / 1e9 if self.stamp_ns else 0.0

    @property
    def shares_clock(self) -> bool:
        """Whether its stamp is plausible on the node's clock.

        It is not for a sensor that counts from power-on, a recording played without simulated time,
        or a clock that is not set.
        """
        return -AHEAD_S <= self.offset_s <= BEHIND_S

    @property
    def time_ns(self) -> int:
        """When it was measured, on the node's clock [ns].

        Its stamp, or its arrival if the stamp is missing or from another clock.
        """
        return self.stamp_ns if self.stamp_ns and self.shares_clock else self.arrived_ns

    def age_s(self, now_ns: int) -> float:
        """Time since it was measured, on the node's clock [s]."""
        return (now_ns - self.time_ns) / 1e9


class CloudStore:
    """Retains the latest clouds. Thread-safe.

    Args:
        topic: the topic of the clouds, for messages.

    Attributes:
        jumps: how many times the clouds' time has jumped back.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._lock = threading.Lock()
        self._clouds: list[StoredCloud] = []  # in order of arrival
        self.jumps = 0
        self._refused: deque[tuple[int, str]] = deque(maxlen=REFUSED)  # stamps and reasons
        self._behind = False  # the latest arrival was much older than the newest

    def __contains__(self, cloud: StoredCloud) -> bool:
        with self._lock:
            return cloud in self._clouds

    def __len__(self) -> int:
        with self._lock:
            return len(self._clouds)

    def add(self, cloud: StoredCloud, retain: int) -> bool:
        """Adds a cloud, replacing one with the same stamp, and retains at most `retain`.

        Returns:
            Whether time jumped back (a bag starts over): clouds with later stamps are then dropped,
            so that the newest is again the latest arrival. A single old cloud is merely late; two
            in a row are a jump. Clouds without a stamp are ignored in this.
        """
        with self._lock:
            newest = max((known.stamp_ns for known in self._clouds), default=cloud.stamp_ns)
            behind = 0 < cloud.stamp_ns < newest - JUMP_BACK_S * 1e9
            jumped = behind and self._behind
            self._behind = behind and not jumped
            self.jumps += jumped
            if jumped:
                self._refused.clear()
            self._clouds = [
                known
                for known in self._clouds
                if known.stamp_ns != cloud.stamp_ns
                and not (jumped and known.stamp_ns > cloud.stamp_ns)
            ]
            self._clouds.append(cloud)
            del self._clouds[:-retain]
        return jumped

    def discard(self, cloud: StoredCloud, why: str) -> None:
        """Drops a cloud that turned out to be unusable."""
        with self._lock:
            self._clouds = [known for known in self._clouds if known is not cloud]
        self.refuse(cloud.stamp_ns, why)

    def refuse(self, stamp_ns: int, why: str) -> None:
        """Remembers why a cloud is unusable, for requests with its stamp."""
        with self._lock:
            self._refused.append((stamp_ns, why))

    def clear(self) -> None:
        """Drops all clouds and their embeddings."""
        with self._lock:
            self._clouds = []
            self._refused.clear()

    def newest(self) -> StoredCloud | None:
        """The cloud that was measured last."""
        with self._lock:
            return _latest(self._clouds)

    def at(self, stamp_ns: int, tolerance_s: float) -> StoredCloud:
        """The retained cloud with a stamp.

        Raises:
            Refusal: BAD_CLOUD; it arrived and was refused. NO_CLOUD; says which are retained.
        """
        with self._lock:
            clouds, refused = list(self._clouds), list(self._refused)
        tolerance_ns = tolerance_s * 1e9
        nearest = min(clouds, key=lambda cloud: abs(cloud.stamp_ns - stamp_ns), default=None)
        if nearest is not None and abs(nearest.stamp_ns - stamp_ns) <= tolerance_ns:
            return nearest
        for stamp, why in refused:
            if abs(stamp - stamp_ns) <= tolerance_ns:
                raise Refusal(Code.BAD_CLOUD, f"the cloud of stamp {seconds(stamp)}: {why}")
        if nearest is None:
            raise self._nothing_came()
        stamps = [cloud.stamp_ns for cloud in clouds]
        if abs(nearest.stamp_ns - stamp_ns) > OTHER_CLOCK_S * 1e9:
            hint = (
                "it is from another clock than the clouds' stamps: send the stamp of a cloud's own "
                "header, or a zero stamp for the newest"
            )
        elif stamp_ns > max(stamps):
            hint = "it has not arrived yet: ask later, or with a zero stamp for the newest"
        elif stamp_ns < min(stamps):
            hint = "it is older than all retained clouds: raise clouds.retain, or ask sooner"
        else:
            hint = "it was lost or never sent: raise clouds.stamp_tolerance_s if stamps are rounded"
        raise Refusal(
            Code.NO_CLOUD,
            f"no cloud of stamp {seconds(stamp_ns)} is retained; {hint}. Retained: {len(clouds)}, "
            f"stamps {seconds(min(stamps))} to {seconds(max(stamps))}",
        )

    def current(self, now_ns: int, settings: CloudSettings) -> StoredCloud:
        """The cloud for a request without a stamp.

        The newest embedded one if it is younger than `max_age_s`, else the newest one.

        Raises:
            Refusal: NO_CLOUD; see `fresh`.
        """
        newest = self.fresh(now_ns, settings.stale_s)
        with self._lock:
            embedded = [cloud for cloud in self._clouds if cloud.embedding is not None]
        latest = _latest(embedded)
        ahead_s = max(0.0, -newest.age_s(now_ns))  # least lead of the sensor's clock
        if latest is not None and latest.age_s(now_ns) + ahead_s <= settings.max_age_s:
            return latest
        return newest

    def fresh(self, now_ns: int, stale_s: float) -> StoredCloud:
        """The newest cloud.

        Raises:
            Refusal: NO_CLOUD; none has arrived, or the newest is older than `stale_s` (0: never).
        """
        newest = self.newest()
        if newest is None:
            raise self._nothing_came()
        age = newest.age_s(now_ns)
        if 0 < stale_s < age:
            raise Refusal(
                Code.NO_CLOUD,
                f"the newest cloud is too old: {age:.1f} s, more than clouds.stale_s = "
                f"{stale_s:g} s. Is {self.topic} still published? For a cloud that is captured "
                "once and asked about for long, set clouds.stale_s to 0, or ask with the stamp "
                f"{seconds(newest.stamp_ns)}",
            )
        return newest

    def _nothing_came(self) -> Refusal:
        return Refusal(
            Code.NO_CLOUD,
            f"no cloud has arrived yet on {self.topic}: check that it is published, or attach the "
            "cloud to the request",
        )


def _latest(clouds: list[StoredCloud]) -> StoredCloud | None:
    """The cloud measured last; in a tie, the latest arrival."""
    return max(reversed(clouds), key=lambda cloud: cloud.time_ns, default=None)


def stamp_ns(stamp: object) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)  # type: ignore[attr-defined]


def seconds(stamp: int) -> str:
    """A stamp [ns] as exact seconds, for messages."""
    return f"{stamp // 1_000_000_000}.{stamp % 1_000_000_000:09d}"


def _check_size(msg: PointCloud2, limits: LimitSettings) -> None:
    names = [msg.header.frame_id, *(field.name for field in msg.fields)]
    for what, size, most, parameter in (
        ("points", msg.width * msg.height, limits.max_points, "max_points"),
        ("bytes of data", len(msg.data), limits.max_bytes, "max_bytes"),
        ("fields", len(msg.fields), limits.max_fields, "max_fields"),
        ("characters in a name", max(map(len, names)), limits.max_name_length, "max_name_length"),
    ):
        if size > most:
            raise CloudError(
                f"the cloud has {size} {what}; the node takes at most {most} "
                f"(parameter limits.{parameter})"
            )
