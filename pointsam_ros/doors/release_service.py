"""The door by which followed objects are released: the service `~/release_objects`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rclpy.callback_groups import ReentrantCallbackGroup

from pointsam_interfaces.srv import ReleaseObjects
from pointsam_ros.requests.answers import Answer

if TYPE_CHECKING:
    from pointsam_ros.segment_node import SegmentNode

NAMED = 10  # ids, in a message or a line of the log


class ReleaseService:
    """Ends the following of objects."""

    def __init__(self, node: SegmentNode) -> None:
        self._node = node
        self._service = node.create_service(
            ReleaseObjects,
            "~/release_objects",
            self._on_request,
            callback_group=ReentrantCallbackGroup(),  # a request may wait while others come
        )

    def destroy(self) -> None:
        """Takes the service away."""
        self._node.destroy_service(self._service)

    async def _on_request(
        self, request: ReleaseObjects.Request, response: ReleaseObjects.Response
    ) -> ReleaseObjects.Response:
        node, ids = self._node, [int(it) for it in request.ids]
        node.open_requests += 1
        try:
            tracks = node.loaded().tracks
            released, last = await node.ask(lambda: tracks.release(ids))
            unknown = [known for known in dict.fromkeys(ids) if known not in released]
            response.success, response.released = not unknown, released
            if released:
                node.get_logger().info(f"released: {_named('id ', released)}")
            if unknown:
                response.message = f"no object of these ids is followed: {_named('', unknown)}"
            if last is not None:
                node.publish(Answer(last, [], []))  # the display forgets it too
        except Exception as error:
            response.success, response.message = False, node.refused(error, "release").message
        finally:
            node.open_requests -= 1
        return response


def _named(prefix: str, ids: Sequence[int]) -> str:
    """Ids for a person, at most NAMED of them."""
    named = ", ".join(f"{prefix}{known}" for known in ids[:NAMED])
    return named + (f" and {len(ids) - NAMED} more" if len(ids) > NAMED else "")
