"""The service `~/release_objects`, which stops following objects."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.callback_groups import ReentrantCallbackGroup

from pointsam_interfaces.srv import ReleaseObjects
from pointsam_ros.doors.host import Host
from pointsam_ros.outputs.answers import Answer

NAMED = 10  # most ids named in a message or a line of the log


class ReleaseService:
    """Stops following objects on request."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._service = host.node.create_service(
            ReleaseObjects,
            "~/release_objects",
            self._on_request,
            callback_group=ReentrantCallbackGroup(),  # a request may wait while others come
        )

    def destroy(self) -> None:
        """Closes the service."""
        self._host.node.destroy_service(self._service)

    async def _on_request(
        self, request: ReleaseObjects.Request, response: ReleaseObjects.Response
    ) -> ReleaseObjects.Response:
        host, ids = self._host, [int(number) for number in request.ids]
        async with host.requests.opened("release") as opened:
            tracks = host.requests.loaded().tracks
            released, last = await host.requests.ask(lambda: tracks.release(ids))
            unknown = [track_id for track_id in dict.fromkeys(ids) if track_id not in released]
            response.success, response.released = not unknown, released
            if released:
                host.node.get_logger().info(f"released: {_named('id ', released)}")
            if unknown:
                response.message = f"no object of these ids is followed: {_named('', unknown)}"
            if last is not None:
                host.publish(Answer(last, [], []))  # clears the display
        opened.refuse(response)
        return response


def _named(prefix: str, ids: Sequence[int]) -> str:
    """Formats ids for messages, at most NAMED of them."""
    named = ", ".join(f"{prefix}{track_id}" for track_id in ids[:NAMED])
    return named + (f" and {len(ids) - NAMED} more" if len(ids) > NAMED else "")
