"""The topic of clouds: subscribed to, checked, counted, and kept."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sensor_msgs.msg import PointCloud2

from pointsam_model.errors import CloudError
from pointsam_ros.clouds.cloud_store import CloudStore, StoredCloud, stamp_ns
from pointsam_ros.config import NodeConfig
from pointsam_ros.health.gaps import Gaps
from pointsam_ros.health.health import Clouds
from pointsam_ros.health.tally import Tally
from pointsam_ros.outputs.qos import mismatch, profile
from pointsam_ros.process.process import WorkNode
from pointsam_ros.requests.transforms import Lookup

LOOK_S = 1.0  # between two looks at who publishes


class PointsTopic:
    """The clouds of `~/points`, while it is open.

    Args:
        node: who subscribes.
        config: the parameters as they are now.
        tally: counts what becomes of them.
        lookup: forgets its transforms when the clouds' time jumps back.
        on_new: called with each cloud that is kept.

    Attributes:
        store: the clouds that are retained.
    """

    def __init__(
        self,
        node: WorkNode,
        config: Callable[[], NodeConfig],
        tally: Tally,
        lookup: Lookup,
        on_new: Callable[[], None],
    ) -> None:
        self.store = CloudStore(node.resolve_topic_name("~/points"))
        self._node = node
        self._config = config
        self._tally = tally
        self._lookup = lookup
        self._on_new = on_new
        self._gaps = Gaps()
        self._subscription: Subscription | None = None
        self._looking: Timer | None = None
        self._latched = False  # clouds that were published earlier are sent too
        self._came = False  # a cloud, since it was opened

    def open(self) -> None:
        """Subscribes; clouds that are lost on their way are counted where the middleware tells."""
        self._latched = self._config().points.qos.durability == "transient_local"
        self._came = False
        self._subscribe()
        if self._config().points.qos.durability == "auto":
            steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
            self._looking = self._node.create_timer(LOOK_S, self._look, clock=steady)

    def _subscribe(self) -> None:
        remedy = "set points.qos.reliability to best_effort, or make the publisher reliable"
        events = SubscriptionEventCallbacks(
            incompatible_qos=mismatch(self._tally, self.store.topic, remedy, input=True),
            message_lost=lambda info: self._lost(info.total_count_change),
        )
        try:
            self._subscription = self._subscribed(events)
            self._gaps.losses_told = True
        except UnsupportedEventTypeError:
            self._subscription = self._subscribed(None)

    def close(self) -> None:
        """Subscribes no longer, and forgets all clouds and their embeddings."""
        if self._looking is not None:
            self._node.destroy_timer(self._looking)
            self._looking = None
        self._unsubscribe()
        self.store.clear()
        self._gaps.restart()

    def seen(self) -> Clouds:
        """What is known of the sensor's clouds."""
        newest = self.store.newest()
        age = None if newest is None else newest.age_s(self._node.now_ns())
        offset = 0.0 if newest is None or newest.shares_clock else newest.offset_s
        return Clouds(self.store.topic, age, offset, self._gaps.recent, self._gaps.losses_told)

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _look(self) -> None:
        """Asks for clouds that were published earlier where none comes and publishers keep them.

        A sensor that keeps its clouds and goes on sending is not asked: what that takes, to be
        reliable, is not worth clouds that are old. A publisher that keeps none would not be heard.
        """
        known = self._node.get_publishers_info_by_topic(self.store.topic)
        keep = bool(known) and all(_keeps(publisher.qos_profile) for publisher in known)
        latched = keep and (self._latched or not self._came)
        if not known or latched == self._latched:
            return
        self._latched = latched
        self._node.get_logger().info(
            f"{self.store.topic} is subscribed to as "
            + (
                "transient_local: no cloud has come, and its publishers keep them"
                if latched
                else "volatile: not all its publishers keep their clouds"
            )
        )
        self._unsubscribe()
        self._subscribe()

    def _subscribed(self, events: SubscriptionEventCallbacks | None) -> Subscription:
        qos = profile(self._config().points.qos)
        if self._latched:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
            qos.reliability = ReliabilityPolicy.RELIABLE  # which the middleware wants for it
        return self._node.create_subscription(
            PointCloud2, "~/points", self._on_cloud, qos, event_callbacks=events
        )

    def _lost(self, count: int) -> None:
        self._tally.cloud("lost", count)
        self._gaps.lost(count)

    def _on_cloud(self, msg: PointCloud2) -> None:
        node, config = self._node, self._config()
        self._came = True
        self._tally.cloud("received")
        try:
            cloud = StoredCloud.from_msg(msg, self._node.now_ns(), config.limits)
        except CloudError as error:
            self._tally.refused(str(error), unread=True)
            self.store.refuse(stamp_ns(msg.header.stamp), str(error))
            node.get_logger().warning(f"cloud refused: {error}", throttle_duration_sec=5.0)
            return
        self._tally.accepted()
        self._tally.cloud("missing", self._gaps.came(cloud.stamp_ns))
        if self.store.add(cloud, config.clouds.retain):
            node.get_logger().warning(
                "the clouds' time jumped back: those with later stamps are dropped, and "
                "sessions on them are lost"
            )
            self._tally.cloud("time jumps")
            self._gaps.restart()
            self._lookup.forget()
        self._on_new()


def _keeps(offered: QoSProfile) -> bool:
    """Whether who publishes so sends what it has published to those who come later."""
    return (
        offered.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and offered.reliability == ReliabilityPolicy.RELIABLE
    )
