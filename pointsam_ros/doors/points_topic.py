"""The topic of clouds: subscribed to, checked, counted, and kept."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.subscription import Subscription
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

    def open(self) -> None:
        """Subscribes; clouds that are lost on their way are counted where the middleware tells."""
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
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        self.store.clear()
        self._gaps.restart()

    def seen(self) -> Clouds:
        """What is known of the sensor's clouds."""
        newest = self.store.newest()
        age = None if newest is None else newest.age_s(self._node.now_ns())
        return Clouds(self.store.topic, age, self._gaps.recent, self._gaps.losses_told)

    def _subscribed(self, events: SubscriptionEventCallbacks | None) -> Subscription:
        qos = profile(self._config().points.qos)
        return self._node.create_subscription(
            PointCloud2, "~/points", self._on_cloud, qos, event_callbacks=events
        )

    def _lost(self, count: int) -> None:
        self._tally.cloud("lost", count)
        self._gaps.lost(count)

    def _on_cloud(self, msg: PointCloud2) -> None:
        node, config = self._node, self._config()
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
