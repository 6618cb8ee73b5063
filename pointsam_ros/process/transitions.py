"""Lifecycle transitions that report why they failed: rclpy discards their exceptions."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from pointsam_model.errors import PointSamError
from pointsam_ros.health.health import State

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def logged(transition: Transition) -> Transition:
    """Wraps a transition so that its exceptions are logged and shown in the diagnostics.

    An expected error (PointSamError) is a FAILURE: the node stays in its state. Any other is an
    ERROR.
    """

    @wraps(transition)
    def guarded(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except PointSamError as error:
            node.state = State(str(error), DiagnosticStatus.ERROR)
            node.get_logger().error(f"{transition.__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            node.state = State(f"{transition.__name__}: {error}", DiagnosticStatus.ERROR)
            node.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return guarded
