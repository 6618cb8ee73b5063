"""The topic of clouds: subscribes, checks, counts, and stores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

LOOK_S = 1.0  # period of checking for publishers [s]
ALONE_LOOKS = 5  # checks without a publisher before a warning: discovery takes a while


class PointsTopic:
    """The subscription to `~/points`, while it is open.

    Args:
        node: the node that subscribes.
        config: returns the current parameters.
        tally: counts clouds and their outcomes.
        lookup: is told to drop its transforms when the clouds' time jumps back.
        on_new: called with each stored cloud.

    Attributes:
        store: the retained clouds.
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
        self._latched = False  # subscribed as transient_local
        self._came = False  # a cloud has arrived since opening
        self._alone = 0  # consecutive checks without a publisher

    def open(self) -> None:
        """Subscribes; clouds lost in transport are counted if the middleware reports them."""
        self._latched = self._config().points.qos.durability == "transient_local"
        self._came = False
        self._alone = 0
        self._subscribe()
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
        """Unsubscribes, and drops all clouds and their embeddings."""
        if self._looking is not None:
            self._node.destroy_timer(self._looking)
            self._looking = None
        self._unsubscribe()
        self.store.clear()
        self._gaps.restart()

    def seen(self) -> Clouds:
        """The state of the sensor's clouds, for the node's health."""
        newest = self.store.newest()
        age = None if newest is None else newest.age_s(self._node.now_ns())
        offset = 0.0 if newest is None or newest.shares_clock else newest.offset_s
        return Clouds(self.store.topic, age, offset, self._gaps.recent, self._gaps.losses_told)

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _look(self) -> None:
        """Checks for publishers: none, or ones that keep earlier messages (transient_local)."""
        if self._came and not self._latched:
            return  # nothing is missing
        known = self._node.get_publishers_info_by_topic(self.store.topic)
        if not known:
            self._alone += 1
            if self._alone == ALONE_LOOKS and not self._came:
                self._node.get_logger().warning(self._where_clouds_are())
        elif self._config().points.qos.durability == "auto":
            self._match([publisher.qos_profile for publisher in known])

    def _where_clouds_are(self) -> str:
        kind = "sensor_msgs/msg/PointCloud2"
        elsewhere = [
            topic
            for topic, kinds in self._node.get_topic_names_and_types()
            if kind in kinds and self._node.count_publishers(topic)
        ]
        own = f"{self._node.get_fully_qualified_name()}/"
        others = [topic for topic in elsewhere if not topic.startswith(own)]
        where = (
            f"clouds are published on {', '.join(others)}: give one of them as cloud_topic, or "
            "remap ~/points to it"
            if others
            else "nor are clouds published on any other topic: is the driver running?"
        )
        return f"nobody publishes on {self.store.topic}; {where}"

    def _match(self, offered: Sequence[QoSProfile]) -> None:
        """Subscribes as transient_local if no cloud arrives and all publishers keep theirs.

        Not for a sensor that keeps its clouds and continues to publish: old clouds are not worth a
        reliable subscription. And a volatile publisher would not match.
        """
        latched = all(map(_keeps, offered)) and (self._latched or not self._came)
        if latched == self._latched:
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
            qos.reliability = ReliabilityPolicy.RELIABLE  # transient_local requires it
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
    """Whether a publisher with this QoS sends earlier messages to late subscribers."""
    return (
        offered.durability == DurabilityPolicy.TRANSIENT_LOCAL
        and offered.reliability == ReliabilityPolicy.RELIABLE
    )
