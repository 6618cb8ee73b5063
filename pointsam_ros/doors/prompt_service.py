"""The door for planners: the service `~/segment_prompts`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Duration
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_ros.outputs.outputs import response_of
from pointsam_ros.refusal import Code
from pointsam_ros.requests.answers import Answer
from pointsam_ros.work.follow_log import telling_followed
from pointsam_ros.work.segmenter import Question

if TYPE_CHECKING:
    from pointsam_ros.segment_node import SegmentNode

# With ROS's default of 10, requests that come in one burst would be lost without a word; all must
# reach the worker's queue, which refuses what is too much.
REQUESTS = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)


class PromptService:
    """Answers each request, whatever is wrong with it."""

    def __init__(self, node: SegmentNode) -> None:
        self._node = node
        self._service = node.create_service(
            SegmentPrompts,
            "~/segment_prompts",
            self._on_request,
            qos_profile=REQUESTS,
            callback_group=ReentrantCallbackGroup(),  # a request may wait while others come
        )

    def destroy(self) -> None:
        """Takes the service away."""
        self._node.destroy_service(self._service)

    async def _on_request(
        self, request: SegmentPrompts.Request, response: SegmentPrompts.Response
    ) -> SegmentPrompts.Response:
        began = time.monotonic()
        self._node.open_requests += 1
        try:
            response = await self._answered(request)
            self._node.tally.request(Code.OK)
        except Exception as error:
            refusal = self._node.refused(error, "request")
            response.success, response.code = False, int(refusal.code)
            response.message = refusal.message
        finally:
            self._node.open_requests -= 1
        elapsed = time.monotonic() - began
        if response.success:  # to refuse takes no time, and would hide how long answers take
            self._node.tally.took("request", elapsed)
        response.elapsed = Duration(sec=int(elapsed), nanosec=int(elapsed % 1 * 1e9))
        self._node.get_logger().debug(f"request answered in {elapsed * 1e3:.1f} ms")
        return response

    async def _answered(self, request: SegmentPrompts.Request) -> SegmentPrompts.Response:
        segmenter = self._node.loaded().segmenter
        question = segmenter.prepare(request)
        node = self._node
        answer = telling_followed(
            lambda: segmenter.answer(question), node.tally, node.get_logger().info
        )
        _, response = await node.transforms.ask(
            lambda: _respond(answer(), question),
            then=lambda answered: node.publish(answered[0]),
        )
        return response


def _respond(answer: Answer, question: Question) -> tuple[Answer, SegmentPrompts.Response]:
    return answer, response_of(answer, question.clicks.return_points)
