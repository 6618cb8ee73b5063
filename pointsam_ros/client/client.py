"""What a planner needs: masks for clicks and boxes, proposals, or the reason why there are none."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from numpy.typing import ArrayLike
from rclpy.action import ActionClient
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from pointsam_interfaces.action import ProposeInstances
from pointsam_interfaces.msg import InstanceArray, ObjectBox
from pointsam_interfaces.srv import EditSession, ReleaseObjects, SegmentPrompts
from pointsam_ros.codes import Code
from pointsam_ros.transport import SERVICE_QOS
from pointsam_ros.waiting import from_outside, until

PASSING = (Code.NO_CLOUD, Code.NOT_READY, Code.OVERLOADED)  # it may be otherwise a moment later
POLL_S = 0.05  # between two looks for the node
CHECK_S = 0.2  # between two calls of `check`
FIRST_ANSWER_S = 3.0  # a node under load may not yet know its client: that answer is lost
SLACK_S = 5.0  # beside the time of all attempts, before a caller from outside gives up


class RefusedError(Exception):
    """The node does not do what it was asked to.

    Attributes:
        code: why, as SegmentPrompts.srv names it.
        message: what is wrong, and what would be right.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message


class NoAnswerError(TimeoutError):
    """No answer has come: the node is not there, has ended, or is too slow.

    Attributes:
        heard: whether the node may have heard the question.
    """

    def __init__(self, message: str, heard: bool = True) -> None:
        super().__init__(message)
        self.heard = heard


class PointSamClient:
    """Asks a node `pointsam`.

    What may pass (no cloud yet, not ready, overloaded) and what is lost is asked again, a few
    times. Methods that end with `_async` are for callbacks of the node, the others for programs
    that have no executor, or another thread for it.

    Args:
        node: whose topics and executor are used.
        name: of the node that is asked, with its namespace.
        timeout_s: longest wait for an answer [s].
        goal_timeout_s: longest wait for proposals [s].
        attempts: how often at most the same is asked.
        pause_s: between two attempts [s].
        check: called while waiting; what it raises ends the waiting, as where the node has ended.

    Attributes:
        prompts, goals: ROS's own clients of the service and the action, for programs that keep
            several requests in flight and count every refusal.
    """

    def __init__(
        self,
        node: Node,
        name: str = "/pointsam",
        *,
        timeout_s: float = 10.0,
        goal_timeout_s: float = 60.0,
        attempts: int = 4,
        pause_s: float = 1.0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._node, self._name = node, name
        self._timeout_s, self._goal_timeout_s = timeout_s, goal_timeout_s
        self._attempts, self._pause_s = attempts, pause_s
        self._check = check
        group = ReentrantCallbackGroup()  # answers come while a callback of the node waits for them
        self.prompts = node.create_client(
            SegmentPrompts, f"{name}/segment_prompts", qos_profile=SERVICE_QOS, callback_group=group
        )
        self._release = node.create_client(
            ReleaseObjects, f"{name}/release_objects", qos_profile=SERVICE_QOS, callback_group=group
        )
        self._edit = node.create_client(
            EditSession, f"{name}/edit_session", qos_profile=SERVICE_QOS, callback_group=group
        )
        self.goals = ActionClient(
            node,
            ProposeInstances,
            f"{name}/propose_instances",
            callback_group=group,
            goal_service_qos_profile=SERVICE_QOS,
            result_service_qos_profile=SERVICE_QOS,
            cancel_service_qos_profile=SERVICE_QOS,
        )

    def destroy(self) -> None:
        """Takes its clients away."""
        self.goals.destroy()
        for client in (self.prompts, self._release, self._edit):
            self._node.destroy_client(client)

    async def wait_until_ready_async(self, seconds: float = 60.0) -> None:
        """Until the node has loaded its model, and its answers come here.

        Raises:
            NoAnswerError: it takes longer.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = await self._called(self.prompts, SegmentPrompts.Request(), FIRST_ANSWER_S)
                if answer.code == Code.BAD_REQUEST:  # no clicks: all that is wrong
                    return
                why = answer.message
            except NoAnswerError as error:
                why = str(error)
            if time.monotonic() >= deadline:
                raise NoAnswerError(f"the node is not ready within {seconds:g} s: {why}")
            await self._until(None, POLL_S)

    async def segment_async(
        self,
        points: ArrayLike = (),
        labels: Sequence[int] = (),
        *,
        object_ids: Sequence[int] = (),
        boxes: Sequence[ObjectBox] = (),
        frame_id: str = "",
        stamp: Time | None = None,
        cloud: PointCloud2 | None = None,
        multimask: bool = False,
        return_points: bool = False,
        session: str = "",
        follow: bool = False,
    ) -> SegmentPrompts.Response:
        """The masks of clicked objects, best first.

        A request of a session is not made again where its answer is lost: its clicks might count
        twice.

        Args:
            points: (q,3) clicks [m]; labels: 1 on the object, 0 off it, empty: all 1; object_ids:
                which object each is of, empty: all 1.
            boxes: one for an object at most.
            frame_id: coordinate frame of clicks and boxes; empty: the cloud's.
            stamp: of the cloud that is meant; None: the newest.
            session: its name; other programs may use the same one for theirs.
            cloud, multimask, return_points, follow: as SegmentPrompts.srv has them.

        Raises:
            RefusedError: says why.
            NoAnswerError: none has come.
        """
        request = SegmentPrompts.Request(
            header=Header(frame_id=frame_id, stamp=stamp or Time()),
            multimask=multimask,
            return_points=return_points,
            session=self._own(session),
            follow=follow,
            boxes=list(boxes),
        )
        # numpy's scalars abort the process in message fields: Python's own numbers only
        rows = np.asarray(points, np.float64).reshape(-1, 3).tolist()
        request.points = [Point(x=x, y=y, z=z) for x, y, z in rows]
        request.labels = [int(label) for label in labels]
        request.object_ids = [int(object_id) for object_id in object_ids]
        if cloud is not None:
            request.cloud = cloud

        async def attempt() -> SegmentPrompts.Response:
            return await self._called(self.prompts, request, self._timeout_s)

        return await self._answer(attempt, once=bool(session))

    async def propose_async(
        self,
        *,
        max_instances: int = 0,
        min_score: float = 0.0,
        stamp: Time | None = None,
        cloud: PointCloud2 | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> InstanceArray:
        """All objects of a cloud, best first.

        Args:
            max_instances: at most so many; 0: as the node's parameters say.
            min_score: least score, 0 to 1; 0: as the node's parameters say.
            stamp: of the cloud that is meant; None: the newest.
            cloud: the cloud itself.
            on_progress: called with the prompts that are done, and all of them.

        Raises:
            RefusedError: says why.
            NoAnswerError: no result has come.
        """
        goal = ProposeInstances.Goal(
            header=Header(stamp=stamp or Time()),
            max_instances=int(max_instances),
            min_score=float(min_score),
        )
        if cloud is not None:
            goal.cloud = cloud

        def told(message: Any) -> None:
            if on_progress is not None:
                on_progress(message.feedback.prompts_done, message.feedback.prompts_total)

        async def attempt() -> ProposeInstances.Result:
            return await self._carried_out(goal, told)

        result = await self._answer(attempt)
        return result.result

    async def release_async(self, ids: Sequence[int] = ()) -> list[int]:
        """Follows objects no longer; none named: all of them.

        Returns:
            The ids that were followed, and now are not.

        Raises:
            RefusedError: some were not followed; the others are released all the same.
            NoAnswerError: none has come.
        """
        request = ReleaseObjects.Request(ids=[int(each) for each in ids])

        async def attempt() -> ReleaseObjects.Response:
            return await self._called(self._release, request, self._timeout_s)

        response = await self._answer(attempt)
        return [int(each) for each in response.released]

    async def undo_async(self, session: str) -> InstanceArray:
        """Takes the last request of a session back.

        Returns:
            The answer to the request before, which counts now.

        Raises:
            RefusedError: there is no such session, or nothing to take back.
            NoAnswerError: none has come; it may have been done.
        """
        response = await self._edited(session, EditSession.Request.UNDO)
        return response.result

    async def end_async(self, session: str) -> None:
        """Ends a session: the node forgets it and its cloud.

        Raises:
            RefusedError: there is no such session.
            NoAnswerError: none has come; it may have been done.
        """
        await self._edited(session, EditSession.Request.END)

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """As `wait_until_ready_async`, from outside of the node's executor."""
        waiting = self.wait_until_ready_async(seconds)
        from_outside(self._node, waiting, seconds + self._timeout_s + FIRST_ANSWER_S + SLACK_S)

    def segment(self, *args: Any, **kwargs: Any) -> SegmentPrompts.Response:
        """As `segment_async`, from outside of the node's executor."""
        return self._waited_for(self.segment_async(*args, **kwargs), self._timeout_s)

    def propose(self, **kwargs: Any) -> InstanceArray:
        """As `propose_async`, from outside of the node's executor."""
        most_s = self._timeout_s + self._goal_timeout_s
        return self._waited_for(self.propose_async(**kwargs), most_s)

    def release(self, ids: Sequence[int] = ()) -> list[int]:
        """As `release_async`, from outside of the node's executor."""
        return self._waited_for(self.release_async(ids), self._timeout_s)

    def undo(self, session: str) -> InstanceArray:
        """As `undo_async`, from outside of the node's executor."""
        return self._waited_for(self.undo_async(session), self._timeout_s)

    def end(self, session: str) -> None:
        """As `end_async`, from outside of the node's executor."""
        self._waited_for(self.end_async(session), self._timeout_s)

    async def _edited(self, session: str, action: int) -> EditSession.Response:
        request = EditSession.Request(session=self._own(session), action=action)

        async def attempt() -> EditSession.Response:
            return await self._called(self._edit, request, self._timeout_s)

        return await self._answer(attempt, once=True)

    def _own(self, session: str) -> str:
        """A session's name that no other program has."""
        return f"{self._node.get_fully_qualified_name()}:{session}" if session else ""

    def _waited_for(self, asking: Any, attempt_s: float) -> Any:
        most_s = self._attempts * (self._timeout_s + attempt_s + self._pause_s) + SLACK_S
        return from_outside(self._node, asking, most_s)

    async def _until(self, done: Future | None, seconds: float) -> bool:
        """As `until`, with a check now and then."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0.0:
            self._check()
            if await until(self._node, done, min(left, CHECK_S)):
                return True
        return False

    async def _answer(self, attempt: Callable[[], Awaitable[Any]], once: bool = False) -> Any:
        """The first answer that does not pass.

        Args:
            attempt: asks; NoAnswerError where none comes.
            once: what may have been heard is not said again.
        """
        for number in range(1, self._attempts + 1):
            last = number == self._attempts
            try:
                answer = await attempt()
            except NoAnswerError as error:
                if last or once or not error.heard:
                    raise
                why = str(error)
            else:
                if answer.success:
                    return answer
                code, why = Code(getattr(answer, "code", Code.FAILED)), answer.message
                if last or code not in PASSING:
                    raise RefusedError(code, why)
            self._node.get_logger().info(f"asks again: {why}")
            await self._until(None, self._pause_s)
        raise AssertionError("the last attempt answers or raises")

    async def _called(self, client: Any, request: Any, timeout_s: float) -> Any:
        await self._there(client.service_is_ready, f"service {client.srv_name}")
        answer = client.call_async(request)
        if not await self._until(answer, timeout_s):
            client.remove_pending_request(answer)  # it would be kept for ever
            raise NoAnswerError(f"no answer of {client.srv_name} within {timeout_s:g} s")
        return answer.result()

    async def _carried_out(self, goal: Any, told: Callable[[Any], None]) -> Any:
        client = self.goals
        await self._there(client.server_is_ready, f"action {self._name}/propose_instances")
        sent = client.send_goal_async(goal, told)
        if not await self._until(sent, self._timeout_s):
            raise NoAnswerError(f"no reply to the goal within {self._timeout_s:g} s")
        handle = sent.result()
        ended = handle.get_result_async()
        if not await self._until(ended, self._goal_timeout_s):
            handle.cancel_goal_async()  # else the node would work on what nobody waits for
            raise NoAnswerError(f"the goal has no result within {self._goal_timeout_s:g} s")
        return ended.result().result

    async def _there(self, ready: Callable[[], bool], what: str) -> None:
        """Waits until the node offers something."""
        deadline = time.monotonic() + self._timeout_s
        while not ready():
            if time.monotonic() >= deadline:
                raise NoAnswerError(
                    f"no {what} within {self._timeout_s:g} s: is the node running?", heard=False
                )
            await self._until(None, POLL_S)
