"""The service `~/segment_prompts`, for planners and other programs."""

from __future__ import annotations

import time

from builtin_interfaces.msg import Duration
from rclpy.callback_groups import ReentrantCallbackGroup

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros.doors.host import Host
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.outputs.outputs import response_of
from pointsam_ros.transport import SERVICE_QOS
from pointsam_ros.work.follow_log import telling_followed
from pointsam_ros.work.segmenter import PromptJob


class PromptService:
    """Answers every request, if need be with the reason why it is refused."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._service = host.node.create_service(
            SegmentPrompts,
            "~/segment_prompts",
            self._on_request,
            qos_profile=SERVICE_QOS,
            callback_group=ReentrantCallbackGroup(),  # a request may wait while others come
        )

    def destroy(self) -> None:
        """Closes the service."""
        self._host.node.destroy_service(self._service)

    async def _on_request(
        self, request: SegmentPrompts.Request, response: SegmentPrompts.Response
    ) -> SegmentPrompts.Response:
        began = time.monotonic()
        async with self._host.requests.opened("request") as opened:
            response = await self._answered(request)
        opened.refuse(response)
        elapsed = time.monotonic() - began
        if response.success:  # refusals take no time and would distort the statistics
            self._host.tally.took("request", elapsed)
        response.elapsed = Duration(sec=int(elapsed), nanosec=int(elapsed % 1 * 1e9))
        self._host.node.get_logger().debug(f"request answered in {elapsed * 1e3:.1f} ms")
        return response

    async def _answered(self, request: SegmentPrompts.Request) -> SegmentPrompts.Response:
        host = self._host
        segmenter = host.requests.loaded().segmenter
        job = segmenter.prepare(request)
        answer = telling_followed(
            lambda: segmenter.answer(job), host.tally, host.node.get_logger().info
        )
        _, response = await host.requests.ask(
            lambda: _respond(answer(), job),
            then=lambda answered: host.publish(answered[0]),
        )
        return response


def _respond(answer: Answer, job: PromptJob) -> tuple[Answer, SegmentPrompts.Response]:
    return answer, response_of(answer, job.clicks.return_points)
