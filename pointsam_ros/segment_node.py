"""The node `pointsam`: lifecycle and wiring.

The executor's thread receives clouds and requests, checks their form and passes them to the worker,
which owns the model. Requests arrive through the modules in `doors`; each waits for its answer
without blocking anything else.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from pointsam_model import free_device_memory
from pointsam_model.errors import PointSamError
from pointsam_ros.config import NodeConfig
from pointsam_ros.doors.click_topics import ClickTopics
from pointsam_ros.doors.points_topic import PointsTopic
from pointsam_ros.doors.prompt_service import PromptService
from pointsam_ros.doors.propose_action import ProposeAction
from pointsam_ros.doors.release_service import ReleaseService
from pointsam_ros.doors.requests import Requests
from pointsam_ros.doors.session_service import SessionService
from pointsam_ros.health.diagnostics import Diagnostics, memory_values
from pointsam_ros.health.health import State, health
from pointsam_ros.health.namesakes import namesakes
from pointsam_ros.health.tally import Tally
from pointsam_ros.health.timing_topics import TimingTopics
from pointsam_ros.outputs.answers import Answer
from pointsam_ros.outputs.outputs import Outputs
from pointsam_ros.parameters import Parameters
from pointsam_ros.process.process import WorkNode, own_arguments, run
from pointsam_ros.process.transitions import logged
from pointsam_ros.refusal import trace_of
from pointsam_ros.requests.transforms import lookup_for
from pointsam_ros.work.loaded import Loaded, check, load
from pointsam_ros.work.model_thread import ModelThread
from pointsam_ros.work.worker import Rank, Worker

Part = TypeVar("Part", bound="Closable")
SUCCESS = TransitionCallbackReturn.SUCCESS
FREE_POLL_S = 0.1
UNCONFIGURED = State("the node is unconfigured", DiagnosticStatus.WARN)
INACTIVE = State("the node is inactive", DiagnosticStatus.WARN)
LOADING = State("the model is still being loaded", DiagnosticStatus.WARN)
READY = State("ready")
FINALIZED = State("the node is finalized", DiagnosticStatus.WARN)

USAGE = """The ROS 2 node pointsam: answers clicks on point clouds with instances.

usage: segment_node [--ros-args [-r '~/points:=TOPIC'] [--params-file FILE] [-p NAME:=VALUE ...]]

The quotes are needed: a shell would expand a bare ~/points to a path.

All parameters, with their units, ranges and defaults: python -m pointsam_ros.config
"""


class Closable(Protocol):
    """A ROS entity that must be destroyed."""

    def destroy(self) -> None:
        """Destroys it."""


class SegmentNode(WorkNode):
    """Answers clicks on clouds with instances.

    Attributes:
        parameters: its settings.
        state: its state, as published in the diagnostics.
        tally: counts clouds, requests and their outcomes.
        requests: the open requests.

    Raises:
        ConfigError: an invalid parameter.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("pointsam", **kwargs)
        self.parameters = Parameters(self, on_changed=self._on_parameters)
        self.tally = Tally()
        self.state = UNCONFIGURED
        self._diagnostics = Diagnostics(self, self.tally, self._health, self._more_values)
        self._lookup = lookup_for(self)
        self._points = PointsTopic(
            self, lambda: self.config, self.tally, self._lookup, self._offer_newest
        )
        self._open = ExitStack()
        self._model = ModelThread(
            self._load, self._on_loaded, self._on_load_failed, self._on_unexpected
        )
        self.requests = Requests(
            self, self._model, self._lookup, lambda: self.config, self.tally, self._not_ready
        )
        # Never closed, so that clients get a reason while the node is not ready.
        self._doors = (
            PromptService(self),
            ProposeAction(self),
            ClickTopics(self),
            ReleaseService(self),
            SessionService(self),
        )

    @property
    def node(self) -> SegmentNode:
        """The node itself, for its doors."""
        return self

    @property
    def open_requests(self) -> int:
        """Number of requests not yet answered."""
        return self.requests.open

    @property
    def config(self) -> NodeConfig:
        """The current parameters."""
        return self.parameters.config

    def _health(self) -> State:
        """The node's state; once ready, also problems with clouds, answers and clocks."""
        return health(self.state, self._points.seen(), self.tally, self.config, namesakes(self))

    def _more_values(self) -> dict[str, str]:
        """Values in the diagnostics besides those of the tally."""
        loaded, age = self._model.loaded, self._points.seen().age_s
        queues = {
            "requests waiting": self.requests.waiting(Rank.PROMPT),
            "requests waiting for a transform": self.requests.waiting_for_transforms,
            "goals waiting": self.requests.waiting(Rank.GOAL),
            "objects followed now": self.tally.following() if loaded else 0,
        }
        return {
            "newest cloud age [s]": "" if age is None else f"{age:.2f}",
            **{key: str(count) for key, count in queues.items()},
            **memory_values(loaded.memory() if loaded else None),
        }

    # Lifecycle transitions, in order.

    def start(self) -> None:
        """Configures and activates, unless `autostart` leaves that to a lifecycle manager."""
        if not self.config.autostart:
            name = self.get_fully_qualified_name()
            self.get_logger().info(
                "autostart is false: waits for a lifecycle manager, or for `ros2 lifecycle set "
                f"{name} configure` and `ros2 lifecycle set {name} activate`"
            )
            return
        for transition in (self.trigger_configure, self.trigger_activate):
            if self.failure is None and transition() != SUCCESS:
                self.failure = self.failure or self.state.text

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Checks what can be checked without loading the model, and opens the topics."""
        check(self.config.model)
        self._outputs = self._opened(Outputs(self, self.config.outputs.qos, self.tally))
        self._timings = self._opened(TimingTopics(self))
        self.state = INACTIVE
        return SUCCESS

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the model in the worker's thread, and receives clouds meanwhile."""
        self.state = LOADING
        self.tally.watcher = self._timings
        self._model.start()
        self._points.open()
        return super().on_activate(state)

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the model and the clouds; waiting requests are refused."""
        self._end_work("the node was deactivated; activate it and ask again")
        if self._model.worker is not None:
            self._free_memory(self._model.worker)
        self.state = INACTIVE
        return super().on_deactivate(state)

    @logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Closes the topics."""
        self._open.close()
        self.state = UNCONFIGURED
        return SUCCESS

    @logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends all work; waiting requests are refused."""
        self._end_work("the node is shutting down")
        self.state = FINALIZED
        return SUCCESS

    @logged
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a transition failed half-way: closes all that is open."""
        self._end_work(self.state.text)
        self._open.close()
        return SUCCESS

    def destroy_node(self) -> None:
        """Destroys the node and all its parts."""
        for door in self._doors:
            door.destroy()
        super().destroy_node()

    def _opened(self, part: Part) -> Part:
        """Registers a part to be destroyed when the node is cleaned up."""
        self._open.callback(part.destroy)
        return part

    def _end_work(self, why: str) -> None:
        self.tally.watcher = None
        loaded = self._model.loaded
        self._model.stop(why)
        self._points.close()
        last = loaded.tracks.close(why.partition(";")[0]) if loaded else None
        if last is not None:
            self.publish(Answer(last, [], []))  # clears the display

    # The model.

    def _load(self, worker: Worker) -> Loaded:
        return load(
            lambda: self.config,
            self._points.store,
            self.now_ns,
            self._lookup,
            self.tally,
            self.get_logger().debug,
            self.get_logger().warning,
            worker.step_aside,
        )

    def _on_loaded(self) -> None:
        self.state = READY
        self.get_logger().info(f"ready: clouds from {self._points.store.topic}")
        self._offer_newest()

    def _on_load_failed(self, error: BaseException) -> None:
        text = f"the model cannot be loaded: {error}"
        self.state = State(text, DiagnosticStatus.ERROR)
        if not isinstance(error, PointSamError):  # not a wrong setting: the traceback is needed
            self.get_logger().error(f"{text}\n{trace_of(error)}")
        elif not self.config.autostart:
            self.get_logger().error(text)
        if self.config.autostart:
            self.failure = text
            self.executor.wake()

    def _free_memory(self, worker: Worker) -> None:
        """Frees memory once the worker and the waiting requests have released it."""

        def look() -> None:
            if worker.join(0) and not self.open_requests:
                self.destroy_timer(timer)
                free_device_memory()

        steady = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        timer = self.create_timer(FREE_POLL_S, look, clock=steady)

    # Clouds.

    def _offer_newest(self) -> None:
        """Offers the newest cloud to the worker, for when no request waits."""
        loaded, worker = self._model.loaded, self._model.worker
        if loaded is None or worker is None:
            return
        embed, rate_hz = self.config.embed, self.config.proposals.rate_hz
        job, rank = loaded.segmenter.embed_newest, Rank.OFFER
        has_to_look = loaded.tracks.has_to_look
        if has_to_look:
            job, rank = lambda: self._follow_newest(loaded), Rank.FOLLOW
        if (embed.mode == "latest" or has_to_look) and worker.offer(
            "embed", job, 1.0 / embed.max_rate_hz, rank
        ):
            self.tally.cloud("superseded")
        if rate_hz > 0 and self._outputs.wanted():
            worker.offer("propose", lambda: self._propose_newest(loaded), 1.0 / rate_hz)

    def _follow_newest(self, loaded: Loaded) -> None:
        answer = loaded.segmenter.follow_newest(loaded.step_aside)
        if answer is not None and self._model.loaded is loaded:
            self.publish(answer)

    def _on_parameters(self) -> None:
        """Stops following objects at once, even while no clouds arrive."""
        loaded, worker = self._model.loaded, self._model.worker
        if loaded and worker and loaded.tracks.follows and not self.config.tracking.enabled:
            worker.offer("forget", lambda: self._follow_newest(loaded), rank=Rank.FOLLOW)

    def _propose_newest(self, loaded: Loaded) -> None:
        def step_aside() -> bool:
            return loaded.step_aside() or not self._outputs.wanted()

        answer = loaded.proposer.propose_newest(step_aside)
        if answer is not None and not step_aside():
            self.publish(answer)

    # Requests.

    def publish(self, answer: Answer) -> None:
        """Publishes an answer on the topics with subscribers."""
        if self._outputs.wanted():
            started = time.perf_counter()
            self._outputs.publish(answer)
            self.tally.took("publish", time.perf_counter() - started)

    def _not_ready(self) -> str:
        if self.state.level == DiagnosticStatus.ERROR:
            return self.state.text
        hints = {
            UNCONFIGURED: "configure and activate it",
            INACTIVE: "activate it",
            FINALIZED: "it was shut down for good; start it again",
        }
        hint = hints.get(self.state, "ask again later")
        return f"no request can be answered yet: {self.state.text}; {hint}"

    def _on_unexpected(self, error: BaseException) -> None:
        self.tally.failure(str(error))
        self.get_logger().error(f"unexpected error, the node keeps running:\n{trace_of(error)}")


def main(args: list[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM; returns 0, 1 if it cannot start, 2 for misuse."""
    given = sys.argv if args is None else ["segment_node", *args]
    if {"-h", "--help"} & set(given[1:]):
        print(USAGE)
        return 0
    if stray := own_arguments(given):
        print(f"segment_node: unknown argument {stray[0]!r}\n\n{USAGE}", file=sys.stderr)
        return 2
    run(lambda: [SegmentNode()], args)


if __name__ == "__main__":
    sys.exit(main())
