"""What the launch files of one camera and of several have in common."""

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

# Arguments of a launch file that stand for a parameter of the nodes.
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
    """The arguments that say how nodes work; `params_file` is the default parameter file."""
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
    """The values of a launch file's own arguments, without spaces around them.

    The context has more, from launch files that include this one: launch_ros keeps lists there.

    Raises:
        RuntimeError: a topic or log level that ROS does not take.
    """
    known = context.launch_configurations
    given = {each.name: str(known[each.name]).strip() for each in declared}
    level = given["log_level"].lower()
    if level not in LOG_LEVELS:
        raise RuntimeError(f"log_level: '{level}' is none of {', '.join(LOG_LEVELS)}")
    return given


def check_topic(argument: str, topic: str) -> str:
    """The topic, if it is one.

    Raises:
        RuntimeError: ROS does not take it; says what a topic is.
    """
    if not TOPIC.fullmatch(topic):
        raise RuntimeError(
            f"{argument}: '{topic}' is no topic; one has words of letters, digits and _ between "
            "slashes, none beginning with a digit, as in /camera/depth/points"
        )
    return topic


def check_installed(argument: str, package: str, debian: str) -> None:
    """Sees that a ROS package is there.

    Args:
        argument: of the launch file, that needs it.
        package: its name.
        debian: of the Debian package, after ros-$ROS_DISTRO-.

    Raises:
        RuntimeError: it is not; says how to install it.
    """
    try:
        get_package_prefix(package)
    except PackageNotFoundError as error:
        raise RuntimeError(
            f"{argument}: the package {package} is not installed; "
            f"sudo apt install ros-$ROS_DISTRO-{debian}"
        ) from error


def full_namespace(pushed: str, own: str) -> str:
    """The namespace of a node: "" or one that begins with a slash.

    Args:
        pushed: by launch files that include this one.
        own: the argument; an absolute one counts alone.
    """
    whole = own if own.startswith("/") else f"{pushed}/{own}"
    words = [word for word in whole.split("/") if word]
    return "".join(f"/{word}" for word in words)


def node_parameters(arguments: dict[str, str]) -> list[str | dict[str, Any]]:
    """`parameters` of a node: the parameter file, then what other arguments override, if anything.

    Raises:
        RuntimeError: there is no such file, it is no parameter file, or a switch is neither true
            nor false.
    """
    params_file = str(Path(arguments["params_file"]).expanduser())
    if not Path(params_file).is_file():
        raise RuntimeError(f"params_file: there is no file '{params_file}'")
    _check_file(params_file)
    overrides: dict[str, Any] = {}
    for name, parameter in TEXT_PARAMETERS.items():
        if arguments[name]:
            # Without the type, a path such as "2024" or a name such as "on" would become YAML's.
            overrides[parameter] = ParameterValue(arguments[name], value_type=str)
    for name, parameter in SWITCH_PARAMETERS.items():
        if arguments[name]:
            overrides[parameter] = switch(name, arguments[name])
    return [params_file, *([overrides] if overrides else [])]


def _check_file(params_file: str) -> None:
    """Finds what ROS would refuse without naming it."""
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
    """The keys that nothing follows; `null` is something."""
    for key, value in mapping.value:
        if isinstance(value, yaml.MappingNode):
            yield from _without_value(value)
        elif value.tag.endswith(":null") and not value.value:
            yield key


def switch(name: str, text: str) -> bool:
    """The value of a switch.

    Raises:
        RuntimeError: it is neither true nor false.
    """
    if text.lower() not in ("true", "false"):
        raise RuntimeError(f"{name}: '{text}' is neither true nor false")
    return text.lower() == "true"


def transport_settings(profile: Path) -> dict[str, str]:
    """Has Fast DDS read `profile`, unless the user has chosen one."""
    return {} if profile_is_chosen() else {PROFILE: str(profile)}
