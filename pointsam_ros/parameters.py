"""ROS parameters from the typed settings: declared, checked, and kept up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter

from pointsam_model.config.building import configured, settings
from pointsam_model.errors import ConfigError
from pointsam_ros.config import NodeConfig, is_live, range_of

LARGEST = 1e308  # for ranges without an upper bound
LARGEST_INT = 2**63 - 1
UNSET = "null"  # what `ros2 param dump` writes for a list that is not set


class Parameters:
    """Declares the node's settings as ROS parameters; those read at start are read-only.

    Args:
        on_changed: called after each change of `config`.

    Attributes:
        config: the current settings; replaced as a whole, so any thread may read it.

    Raises:
        ConfigError: an invalid value on the command line or in a file; names it and its range.
    """

    def __init__(
        self,
        node: Node,
        defaults: NodeConfig | None = None,
        on_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._node = node
        self._on_changed = on_changed
        self.config = defaults or NodeConfig()
        given: dict[str, Any] = {}
        for name, default, _ in settings(self.config):
            # Without a type, so that the settings' own check and messages apply.
            loose = ParameterDescriptor(dynamic_typing=True)
            value = node.declare_parameter(name, _ros_value(default), loose).value
            if value is not None and not (isinstance(default, tuple) and value == UNSET):
                given[name] = value
        self.config = configured(self.config, given)
        for name, value, metadata in settings(self.config):
            if name in given and type(value) in (int, float):
                node.set_parameters([Parameter(name, value=value)])  # 3 was given for 3.0
            node.set_descriptor(name, _descriptor(name, value, metadata))
        for name in sorted(_unknown(node)):
            node.get_logger().warning(f"there is no parameter {name!r}: it is ignored")
        if hasattr(node, "add_pre_set_parameters_callback"):  # not in rclpy before Iron
            node.add_pre_set_parameters_callback(self._before_set)
        node.add_on_set_parameters_callback(self._on_set)

    def _before_set(self, parameters: list[Parameter]) -> list[Parameter]:
        """Accepts 3 for 3.0 and 3.0 for 3, which rclpy would refuse for their type.

        Raises:
            ParameterNotDeclaredException: names those that do not exist, unlike rclpy's own.
        """
        unknown = [
            parameter.name
            for parameter in parameters
            if not self._node.has_parameter(parameter.name)
        ]
        if unknown:
            raise ParameterNotDeclaredException(unknown)
        kinds = {name: type(value) for name, value, _ in settings(self.config)}
        return [_as_number(parameter, kinds.get(parameter.name)) for parameter in parameters]

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        known = {name for name, _, _ in settings(self.config)}
        changed = {
            parameter.name: parameter.value for parameter in parameters if parameter.name in known
        }
        try:
            self.config = configured(self.config, changed)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._on_changed()
        return SetParametersResult(successful=True)


def _as_number(parameter: Parameter, kind: type | None) -> Parameter:
    """Converts the parameter's number to the type `kind`, if that does not change it."""
    value = parameter.value
    numbers = (int, float)
    if kind not in numbers or type(value) not in numbers or type(value) is kind:
        return parameter
    if kind is int and not value.is_integer():
        return parameter
    return Parameter(parameter.name, value=kind(value))


def _ros_value(default: Any) -> Any:
    """A default as rclpy accepts it; None for an empty list, whose type rclpy cannot infer."""
    return (list(default) or None) if isinstance(default, tuple) else default


def _descriptor(name: str, value: Any, metadata: Any) -> ParameterDescriptor:
    """What tools such as `ros2 param describe` show."""
    descriptor = ParameterDescriptor(
        description=metadata["description"],
        additional_constraints=range_of(value, metadata),
        read_only=not is_live(name),
        dynamic_typing=isinstance(value, tuple),
    )
    if isinstance(value, tuple):
        return descriptor
    descriptor.type = Parameter.Type.from_parameter_value(value).value
    low, high = metadata["low"], metadata["high"]
    if low is None and high is None:
        return descriptor
    if isinstance(value, float):
        least = -LARGEST if low is None else float(low)
        most = LARGEST if high is None else float(high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=least, to_value=most)]
    else:
        least = -LARGEST_INT if low is None else int(low)
        most = LARGEST_INT if high is None else int(high)
        descriptor.integer_range = [IntegerRange(from_value=least, to_value=most, step=1)]
    return descriptor


def _unknown(node: Node) -> set[str]:
    """Names given at start that were not declared, usually typos."""
    given = getattr(node, "_parameter_overrides", {})  # rclpy has no public access to them
    return {name for name in given if not node.has_parameter(name) and "qos_overrides" not in name}
