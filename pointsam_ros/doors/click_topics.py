"""Topics for interactive use: clicks published from RViz."""

from __future__ import annotations

from geometry_msgs.msg import PointStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros.doors.host import Host
from pointsam_ros.requests import clicks as requests
from pointsam_ros.work.follow_log import telling_followed

DEPTH = 10


class ClickTopics:
    """Treats published points as clicks on one object, until `~/reset_clicks` starts a new one."""

    def __init__(self, host: Host) -> None:
        self._host, node = host, host.node
        group = ReentrantCallbackGroup()  # a click may wait for its answer while clouds come
        self._subscriptions = [
            node.create_subscription(PointStamped, topic, callback, DEPTH, callback_group=group)
            for topic, callback in (
                ("/clicked_point", self._on_point),
                ("~/clicked_negative", self._on_negative),
            )
        ]
        self._services = [
            node.create_service(Trigger, name, callback, callback_group=group)
            for name, callback in (
                ("~/reset_clicks", self._on_reset),
                ("~/undo_click", self._on_undo),
            )
        ]

    def destroy(self) -> None:
        """Closes the topics and services."""
        for subscription in self._subscriptions:
            self._host.node.destroy_subscription(subscription)
        for service in self._services:
            self._host.node.destroy_service(service)

    async def _on_point(self, msg: PointStamped) -> None:
        await self._clicked(msg, label=1)

    async def _on_negative(self, msg: PointStamped) -> None:
        await self._clicked(msg, label=0)

    async def _clicked(self, msg: PointStamped, label: int) -> None:
        host = self._host
        # The stamp is RViz's time of the click; the cloud's own time is used instead.
        header = Header(frame_id=msg.header.frame_id)
        request = SegmentPrompts.Request(header=header, points=[msg.point], labels=[label])
        async with host.requests.opened("click") as opened:
            segmenter = host.requests.loaded().segmenter
            clicks = requests.parse(request, host.config.limits)
            newest = segmenter.newest()
            answer = telling_followed(
                lambda: segmenter.click(clicks, newest), host.tally, host.node.get_logger().info
            )
            await host.requests.ask(answer, then=host.publish)
        host.tally.click("answered" if opened.refusal is None else "refused")

    async def _on_reset(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        host = self._host
        async with host.requests.opened("reset") as opened:
            left = await host.requests.ask(host.requests.loaded().segmenter.reset_clicks)
            response.success = True
            response.message = "the next click begins a new object on the newest cloud"
            if left is not None:
                host.node.get_logger().info("clicks start over with a new object")
                host.publish(left)  # clears the display
        opened.refuse(response)
        return response

    async def _on_undo(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        host = self._host
        async with host.requests.opened("undo") as opened:
            await host.requests.ask(host.requests.loaded().segmenter.undo_click, then=host.publish)
            response.success, response.message = True, "the last click was undone"
        opened.refuse(response)
        return response
