"""The door by which followed objects are released: the service `~/release_objects`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rclpy.callback_groups import ReentrantCallbackGroup

from pointsam_interfaces.srv import ReleaseObjects
from pointsam_ros.answers import Answer

if TYPE_CHECKING:
    from pointsam_ros.segment_node import SegmentNode

NAMED = 10  # of the unknown ids, in the message


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
            if unknown:
                named = ", ".join(map(str, unknown[:NAMED]))
                more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
                response.message = f"no object of these ids is followed: {named}{more}"
            if last is not None:
                node.publish(Answer(last, [], []))  # the display forgets it too
        except Exception as error:
            response.success, response.message = False, node.refused(error, "release").message
        finally:
            node.open_requests -= 1
        return response
