"""The service `~/edit_session`, which undoes requests and ends sessions."""

from __future__ import annotations

from rclpy.callback_groups import ReentrantCallbackGroup

from pointsam_interfaces.srv import EditSession
from pointsam_ros.codes import Code
from pointsam_ros.doors.host import Host
from pointsam_ros.refusal import Refusal
from pointsam_ros.transport import SERVICE_QOS


class SessionService:
    """Edits the sessions of `~/segment_prompts`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._service = host.node.create_service(
            EditSession,
            "~/edit_session",
            self._on_request,
            qos_profile=SERVICE_QOS,
            callback_group=ReentrantCallbackGroup(),  # a request may wait while others come
        )

    def destroy(self) -> None:
        """Closes the service."""
        self._host.node.destroy_service(self._service)

    async def _on_request(
        self, request: EditSession.Request, response: EditSession.Response
    ) -> EditSession.Response:
        async with self._host.requests.opened("request") as opened:
            response = await self._edited(request)
        opened.refuse(response)
        return response

    async def _edited(self, request: EditSession.Request) -> EditSession.Response:
        host, name = self._host, str(request.session)
        segmenter = host.requests.loaded().segmenter
        response = EditSession.Response(success=True, code=int(Code.OK))
        if request.action == EditSession.Request.UNDO:
            answer = await host.requests.ask(lambda: segmenter.undo(name), then=host.publish)
            response.result = answer.message
        elif request.action == EditSession.Request.END:
            await host.requests.ask(lambda: segmenter.end(name))
        else:
            raise Refusal(
                Code.BAD_REQUEST, f"action is {request.action}; it must be 0 (UNDO) or 1 (END)"
            )
        return response
