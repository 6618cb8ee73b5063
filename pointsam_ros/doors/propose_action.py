"""The action `~/propose_instances`, which segments whole clouds."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, Future

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup

from pointsam_interfaces.action import ProposeInstances
from pointsam_ros.codes import Code
from pointsam_ros.doors.host import Host
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.refusal import Refusal
from pointsam_ros.transport import SERVICE_QOS
from pointsam_ros.work.worker import Rank

# Clients request the result as soon as their goal is accepted. With rclpy's default of 15 minutes
# the clouds of all goals would stay in memory for that long.
RESULT_KEPT_S = 10


class ProposeAction:
    """Carries out one goal at a time.

    Every goal is accepted, because a rejection cannot carry a reason. A refused goal is aborted,
    with code and message in its result.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._open: dict[bytes, Future] = {}  # pending answers by goal
        self._begun: dict[bytes, float] = {}  # start times by goal
        self._server = ActionServer(
            host.node,
            ProposeInstances,
            "~/propose_instances",
            self._execute,
            callback_group=ReentrantCallbackGroup(),  # goals come and go while one is carried out
            cancel_callback=self._on_cancel,
            goal_service_qos_profile=SERVICE_QOS,
            result_service_qos_profile=SERVICE_QOS,
            cancel_service_qos_profile=SERVICE_QOS,
            result_timeout=RESULT_KEPT_S,
        )

    def destroy(self) -> None:
        """Closes the action."""
        self._server.destroy()

    def _on_cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        answer = self._open.get(_key(goal))
        if answer is not None:
            answer.cancel()  # one that waits is answered at once; one that runs ends with its batch
        return CancelResponse.ACCEPT

    async def _execute(self, goal: ServerGoalHandle) -> ProposeInstances.Result:
        host, result = self._host, ProposeInstances.Result()
        async with host.requests.opened("goal") as opened:
            answer = await self._carried_out(goal)
            result.result, result.success = answer.message, True
            goal.succeed()
            host.tally.goal("carried out")
            self._tell_of_end(goal, f"ends: {len(answer.found)} instances")
        if opened.cancelled:
            result.code, result.message = int(Code.FAILED), "the goal was cancelled"
            goal.canceled()
            host.tally.goal("cancelled")
            self._tell_of_end(goal, "was cancelled")
        elif opened.refusal is not None:
            opened.refuse(result)
            goal.abort()
            host.tally.goal("refused")
        self._open.pop(_key(goal), None)
        self._begun.pop(_key(goal), None)
        return result

    def _tell_of_end(self, goal: ServerGoalHandle, how: str) -> None:
        """Logs the end of a goal that had begun; cancelling others could flood the log."""
        began = self._begun.get(_key(goal))
        if began is not None:
            took = time.monotonic() - began
            self._host.node.get_logger().info(f"{_name(goal)} {how} after {took:.1f} s")

    async def _carried_out(self, goal: ServerGoalHandle) -> Answer:
        if goal.is_cancel_requested:
            raise CancelledError
        host = self._host
        loaded = host.requests.loaded()
        if self._open and host.config.proposals.when_busy == "refuse":
            raise Refusal(
                Code.OVERLOADED,
                "another goal is running; ask again later, or set proposals.when_busy to wait",
            )
        checked = loaded.proposer.prepare(goal.request)

        def tell(done: int, total: int) -> None:
            goal.publish_feedback(
                ProposeInstances.Feedback(prompts_done=int(done), prompts_total=int(total))
            )

        def propose() -> Answer:
            self._begun[_key(goal)] = time.monotonic()
            host.node.get_logger().info(f"{_name(goal)} begins")
            return loaded.proposer.propose(checked, tell, loaded.step_aside)

        return await host.requests.ask(
            propose,
            then=host.publish,
            rank=Rank.GOAL,
            on_queued=lambda answer: self._open.update({_key(goal): answer}),
        )


def _key(goal: ServerGoalHandle) -> bytes:
    return bytes(goal.goal_id.uuid)


def _name(goal: ServerGoalHandle) -> str:
    """The name of a goal in the log: the first digits of its id."""
    return f"goal {_key(goal).hex()[:8]}"
