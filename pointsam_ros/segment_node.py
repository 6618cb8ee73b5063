"""The node `pointsam`: lifecycle and wiring.

The executor's thread takes clouds and requests, checks their form and hands them to the worker,
which owns the model. A request waits for its answer without holding up anything else.
"""

from __future__ import annotations

import sys
import time
import traceback
from concurrent.futures import Future
from typing import Any

from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.task import Future as RosFuture
from sensor_msgs.msg import PointCloud2

from pointsam_interfaces.srv import SegmentPrompts
from pointsam_model import Predictor, load_model
from pointsam_model.config import preset
from pointsam_model.errors import CloudError, PointSamError
from pointsam_ros.cloud_store import CloudStore, StoredCloud
from pointsam_ros.config import NodeConfig
from pointsam_ros.diagnostics import Diagnostics, State, Tally
from pointsam_ros.outputs import Outputs, response_of
from pointsam_ros.parameters import Parameters
from pointsam_ros.points_topic import subscribe
from pointsam_ros.process import WorkNode, run
from pointsam_ros.refusal import Code, Refusal, refusal_of
from pointsam_ros.segmenter import Answer, Question, Segmenter
from pointsam_ros.transforms import lookup_for
from pointsam_ros.transitions import logged
from pointsam_ros.worker import OverloadedError, Worker

SUCCESS = TransitionCallbackReturn.SUCCESS
FUTURE_S = 1.0  # clocks of two machines may differ so much before somebody should look
# With ROS's default of 10, requests that come in one burst would be lost without a word; all must
# reach the worker's queue, which refuses what is too much.
REQUESTS = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
UNCONFIGURED = State("the node is unconfigured", DiagnosticStatus.WARN)
INACTIVE = State("the node is inactive", DiagnosticStatus.WARN)
LOADING = State("the model is still being loaded", DiagnosticStatus.WARN)
READY = State("ready")
FINALIZED = State("the node is finalized", DiagnosticStatus.WARN)

USAGE = """The ROS 2 node pointsam: answers clicks on point clouds with instances.

usage: segment_node [--ros-args [-r ~/points:=TOPIC] [--params-file FILE] [-p NAME:=VALUE ...]]

All parameters, with their units, ranges and defaults: python -m pointsam_ros.config
"""


class SegmentNode(WorkNode):
    """Answers clicks on clouds with instances.

    Attributes:
        parameters: its settings.
        state: what it is doing, as its diagnostics tell.

    Raises:
        ConfigError: a wrong parameter.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("pointsam", **kwargs)
        self.parameters = Parameters(self)
        self._tally = Tally()
        self.state = UNCONFIGURED
        self._diagnostics = Diagnostics(self, self._tally, self._health)
        self._lookup = lookup_for(self)
        self._clouds = CloudStore(self.resolve_topic_name("~/points"))
        self._worker: Worker | None = None
        self._segmenter: Segmenter | None = None  # None: the model is not loaded
        self._subscription: Subscription | None = None

    @property
    def config(self) -> NodeConfig:
        """The parameters as they are now."""
        return self.parameters.config

    def _health(self) -> State:
        """The state; once ready, also whether clouds come and their time is this node's."""
        newest = self._clouds.newest()
        if self.state.level != DiagnosticStatus.OK or newest is None:
            return self.state
        age, stale = newest.age_s(self._now_ns()), self.config.clouds.stale_s
        if 0 < stale < age:
            text = f"the newest cloud on {self._clouds.topic} is {age:.0f} s old"
        elif age < -FUTURE_S:
            text = f"clouds are stamped {-age:.1f} s ahead of this node's clock: set the clocks"
        else:
            return self.state
        return State(text, DiagnosticStatus.WARN)

    # Lifecycle, in the order of a life.

    def start(self) -> None:
        """Configures and activates, unless `autostart` leaves that to a lifecycle manager."""
        if not self.config.autostart:
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if self.failure is None and transition() != SUCCESS:
                self.failure = self.failure or self.state.text

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Checks what can be checked without loading, and offers the service and the topics."""
        preset(self.config.model.preset)
        self._outputs = Outputs(self)
        self._service = self.create_service(
            SegmentPrompts,
            "~/segment_prompts",
            self._on_request,
            qos_profile=REQUESTS,
            callback_group=ReentrantCallbackGroup(),  # a request may wait while others come
        )
        self.state = INACTIVE
        return SUCCESS

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the model in the worker's thread, and takes clouds meanwhile."""
        self.state = LOADING
        self._segmenter = None
        previous, self._worker = self._worker, Worker(self._on_unexpected)
        loading = self._worker.ask(lambda: self._load(previous), then=self._on_loaded)
        loading.add_done_callback(self._on_load_failed)
        self._subscription = subscribe(self, self.config.points.qos, self._on_cloud, self._tally)
        return super().on_activate(state)

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the model and the clouds; whoever waits is told."""
        self._end_work("the node was deactivated; activate it and ask again")
        self.state = INACTIVE
        return super().on_deactivate(state)

    @logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Takes the service and the topics away."""
        self.destroy_service(self._service)
        self._outputs.destroy()
        self.state = UNCONFIGURED
        return SUCCESS

    @logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends all work; whoever waits is told."""
        self._end_work("the node is shutting down")
        self.state = FINALIZED
        return SUCCESS

    def _end_work(self, why: str) -> None:
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._worker is not None:
            self._worker.stop(Refusal(Code.NOT_READY, why))
        self._segmenter = None
        self._clouds.clear()

    # The model.

    def _load(self, previous: Worker | None) -> Segmenter:
        if previous is not None:
            previous.join()  # one model at a time: the last job of the earlier one ends first
        wanted = self.config.model
        model = load_model(
            wanted.preset,
            checkpoint=wanted.checkpoint or None,
            device=wanted.device,
            dtype=wanted.dtype,
        )
        return Segmenter(
            Predictor(model, self.config.predictor, self.config.reduction),
            self._clouds,
            lambda: self.config,
            self._now_ns,
            self._lookup,
            self._tally,
            self.get_logger().debug,
        )

    def _on_loaded(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.state = READY
        self.get_logger().info(f"ready: clouds from {self._clouds.topic}")
        self._embed_newest()

    def _on_load_failed(self, loading: Future) -> None:
        error = loading.exception()
        if error is None or isinstance(error, Refusal):  # a refusal: deactivated meanwhile
            return
        text = f"the model cannot be loaded: {error}"
        self.state = State(text, DiagnosticStatus.ERROR)
        if not isinstance(error, PointSamError):  # nobody's setting: somebody must find the fault
            self.get_logger().error(f"{text}\n{_trace(error)}")
        elif not self.config.autostart:
            self.get_logger().error(text)
        if self.config.autostart:
            self.failure = text
            self.executor.wake()

    # Clouds.

    def _on_cloud(self, msg: PointCloud2) -> None:
        self._tally.cloud("received")
        try:
            cloud = StoredCloud.from_msg(msg, self._now_ns(), self.config.limits.max_points)
        except CloudError as error:
            self._tally.refused(str(error))
            self.get_logger().warning(f"cloud refused: {error}", throttle_duration_sec=5.0)
            return
        if self._clouds.add(cloud, self.config.clouds.retain):
            self.get_logger().warning(
                "the clouds' time jumped back: those of the time to come are forgotten, and "
                "sessions on them are lost"
            )
            self._tally.cloud("time jumps")
        self._embed_newest()

    def _embed_newest(self) -> None:
        embed = self.config.embed
        if self._segmenter is None or self._worker is None or embed.mode != "latest":
            return
        if self._worker.offer(self._segmenter.embed_newest, 1.0 / embed.max_rate_hz):
            self._tally.cloud("dropped")

    # Requests.

    async def _on_request(
        self, request: SegmentPrompts.Request, response: SegmentPrompts.Response
    ) -> SegmentPrompts.Response:
        began = time.monotonic()
        self.open_requests += 1
        try:
            response = await self._answered(request)
            self._tally.request(Code.OK)
        except Exception as error:
            response = self._refused(error)
        finally:
            self.open_requests -= 1
        elapsed = time.monotonic() - began
        response.elapsed = Duration(sec=int(elapsed), nanosec=int(elapsed % 1 * 1e9))
        self.get_logger().debug(f"request answered in {elapsed * 1e3:.1f} ms")
        return response

    async def _answered(self, request: SegmentPrompts.Request) -> SegmentPrompts.Response:
        if self._segmenter is None or self._worker is None:
            raise Refusal(Code.NOT_READY, self._not_ready())
        segmenter = self._segmenter
        question = segmenter.prepare(request)
        try:
            answer = self._worker.ask(
                lambda: _respond(segmenter, question),
                then=lambda answered: self._outputs.publish(answered[0]),
                max_pending=self.config.limits.max_pending,
            )
        except OverloadedError as error:
            raise Refusal(
                Code.OVERLOADED, f"{error}; ask again later, or raise limits.max_pending"
            ) from error
        return (await self._outcome(answer))[1]

    async def _outcome(self, answer: Future) -> Any:
        """The worker's answer, awaited in the executor's thread."""
        executor = self.executor
        done = RosFuture(executor=executor)

        def tell(_: Future) -> None:
            done.set_result(None)
            executor.wake()

        answer.add_done_callback(tell)
        await done
        return answer.result()

    def _not_ready(self) -> str:
        if self.state.level == DiagnosticStatus.ERROR:
            return self.state.text
        hint = "activate it" if self.state == INACTIVE else "ask again later"
        return f"no request can be answered yet: {self.state.text}; {hint}"

    def _refused(self, error: Exception) -> SegmentPrompts.Response:
        refusal = refusal_of(error)
        self._tally.request(refusal.code)
        if refusal.code == Code.FAILED:
            self._tally.failure(refusal.message)
            self.get_logger().error(f"a request failed:\n{_trace(error)}")
        else:
            self.get_logger().info(f"request refused, {refusal.code.name}: {refusal.message}")
        return SegmentPrompts.Response(
            success=False, code=int(refusal.code), message=refusal.message
        )

    def _on_unexpected(self, error: BaseException) -> None:
        self._tally.failure(str(error))
        self.get_logger().error(f"unexpected, the node goes on:\n{_trace(error)}")

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)


def _respond(segmenter: Segmenter, question: Question) -> tuple[Answer, SegmentPrompts.Response]:
    answer = segmenter.answer(question)
    return answer, response_of(answer, question.clicks.return_points)


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def main(args: list[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM; 0 then, 1 where it cannot start."""
    if {"-h", "--help"} & set(sys.argv[1:] if args is None else args):
        print(USAGE)
        return 0
    run(SegmentNode, args)


if __name__ == "__main__":
    sys.exit(main())
