"""Shared by the launch files for one camera and for several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument
from launch_ros.parameter_descriptions import ParameterValue

from pointsam_ros.transport import PROFILE, profile_is_chosen

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
WORD = r"[A-Za-z_][A-Za-z0-9_]*"
TOPIC = re.compile(rf"(~?/)?{WORD}(/{WORD})*")
FORM = "it begins with a node's name, or /**, then ros__parameters, then the parameters"

# Launch arguments that set a parameter of the nodes.
TEXT_PARAMETERS = {
    "preset": "model.preset",
    "checkpoint": "model.checkpoint",
    "device": "model.device",
}
SWITCH_PARAMETERS = {
    "autostart": "autostart",
    "use_sim_time": "use_sim_time",
}


def settings_arguments(params_file: Path) -> list[DeclareLaunchArgument]:
    """The launch arguments for the nodes' settings; `params_file` is the default file."""
    return [
        DeclareLaunchArgument(
            "params_file",
            default_value=str(params_file),
            description="YAML file with the parameters; the package's default file lists and"
            " explains all of them.",
        ),
        DeclareLaunchArgument(
            "checkpoint",
            default_value="",
            description="Path of the model's weights (.safetensors). Empty: as in params_file"
            " (the preset tiny needs none, its weights come with the package).",
        ),
        DeclareLaunchArgument(
            "preset",
            default_value="",
            description="Model: tiny, large, giant, or the path of a JSON config. Empty: as in"
            " params_file.",
        ),
        DeclareLaunchArgument(
            "device",
            default_value="",
            description="Where the model runs: cpu, cuda or cuda:N. Empty: as in params_file.",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="",
            description="true: nodes configure and activate themselves. false: a lifecycle"
            " manager does. Empty: as in params_file.",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="",
            description="true: take the time from /clock (simulation, or a bag played with"
            " --clock). Empty: as in params_file.",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            description="Minimum severity of logged messages: debug, info, warn, error or fatal.",
        ),
    ]


def given_arguments(context: Any, declared: Sequence[DeclareLaunchArgument]) -> dict[str, str]:
    """The values of a launch file's own arguments, stripped of surrounding spaces.

    The context also holds those of launch files that include this one, some of them lists.

    Raises:
        RuntimeError: an invalid topic or log level.
    """
    known = context.launch_configurations
    given = {each.name: str(known[each.name]).strip() for each in declared}
    level = given["log_level"].lower()
    if level not in LOG_LEVELS:
        raise RuntimeError(f"log_level: '{level}' is not one of {', '.join(LOG_LEVELS)}")
    return given


def check_topic(argument: str, topic: str) -> str:
    """Checks a topic name, and returns it.

    Raises:
        RuntimeError: it is invalid; says what a valid one looks like.
    """
    if not TOPIC.fullmatch(topic):
        raise RuntimeError(
            f"{argument}: '{topic}' is not a topic; give words of letters, digits and _ separated "
            "by slashes, none beginning with a digit, as in /camera/depth/points"
        )
    return topic


def check_installed(argument: str, package: str, debian: str) -> None:
    """Checks that a ROS package is installed.

    Args:
        argument: the launch argument that needs it.
        package: its name.
        debian: the name of its Debian package, without ros-$ROS_DISTRO-.

    Raises:
        RuntimeError: it is not installed; says how to install it.
    """
    try:
        get_package_prefix(package)
    except PackageNotFoundError as error:
        raise RuntimeError(
            f"{argument}: the package {package} is not installed; "
            f"sudo apt install ros-$ROS_DISTRO-{debian}"
        ) from error


def full_namespace(pushed: str, own: str) -> str:
    """The full namespace of a node: "", or one that begins with a slash.

    Args:
        pushed: the namespace pushed by launch files that include this one.
        own: the launch argument; if absolute, `pushed` is ignored.
    """
    whole = own if own.startswith("/") else f"{pushed}/{own}"
    words = [word for word in whole.split("/") if word]
    return "".join(f"/{word}" for word in words)


def node_parameters(arguments: dict[str, str]) -> list[str | dict[str, Any]]:
    """`parameters` of a node: the parameter file, then any overrides from other arguments.

    Raises:
        RuntimeError: there is no such file, it is not a parameter file, or a switch is neither true
            nor false.
    """
    params_file = str(Path(arguments["params_file"]).expanduser())
    if not Path(params_file).is_file():
        raise RuntimeError(f"params_file: there is no file '{params_file}'")
    _check_file(params_file)
    overrides: dict[str, Any] = {}
    for name, parameter in TEXT_PARAMETERS.items():
        if arguments[name]:
            # Without the type, YAML would convert a path such as "2024" or a name such as "on".
            overrides[parameter] = ParameterValue(arguments[name], value_type=str)
    for name, parameter in SWITCH_PARAMETERS.items():
        if arguments[name]:
            overrides[parameter] = switch(name, arguments[name])
    return [params_file, *([overrides] if overrides else [])]


def _check_file(params_file: str) -> None:
    """Checks for errors that ROS would report without saying where."""
    try:
        content = yaml.compose(Path(params_file).read_text())
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise RuntimeError(f"params_file: cannot read '{params_file}': {error}") from error
    if not isinstance(content, yaml.MappingNode):
        raise RuntimeError(f"params_file: '{params_file}' does not name any node; {FORM}")
    for key in _without_value(content):
        raise RuntimeError(
            f"params_file: '{key.value}' has no value, in line {key.start_mark.line + 1} of "
            f"'{params_file}'; give it one or remove it"
        )


def _without_value(mapping: yaml.MappingNode) -> Iterator[yaml.ScalarNode]:
    """The keys without a value; an explicit `null` is a value."""
    for key, value in mapping.value:
        if isinstance(value, yaml.MappingNode):
            yield from _without_value(value)
        elif value.tag.endswith(":null") and not value.value:
            yield key


def switch(name: str, text: str) -> bool:
    """Parses a switch.

    Raises:
        RuntimeError: it is neither true nor false.
    """
    if text.lower() not in ("true", "false"):
        raise RuntimeError(f"{name}: '{text}' is neither true nor false")
    return text.lower() == "true"


def transport_settings(profile: Path) -> dict[str, str]:
    """Environment that makes Fast DDS read `profile`, unless the user has chosen another."""
    return {} if profile_is_chosen() else {PROFILE: str(profile)}
