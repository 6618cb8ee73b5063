"""What the launch files of one camera and of several have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument
from launch_ros.parameter_descriptions import ParameterValue

from pointsam_ros.transport import PROFILE, profile_is_chosen

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


def node_parameters(arguments: dict[str, str]) -> list[str | dict[str, Any]]:
    """`parameters` of a node: the parameter file, then what other arguments override, if anything.

    Raises:
        RuntimeError: there is no such file, or a switch is neither true nor false.
    """
    params_file = arguments["params_file"]
    if not Path(params_file).is_file():
        raise RuntimeError(f"params_file: there is no file '{params_file}'")
    overrides: dict[str, Any] = {}
    for name, parameter in TEXT_PARAMETERS.items():
        if arguments[name]:
            # Without the type, a path such as "2024" or a name such as "on" would become YAML's.
            overrides[parameter] = ParameterValue(arguments[name], value_type=str)
    for name, parameter in SWITCH_PARAMETERS.items():
        if arguments[name]:
            overrides[parameter] = switch(name, arguments[name])
    return [params_file, *([overrides] if overrides else [])]


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
