"""Starts one process that answers clicks on the clouds of several cameras, with one model for all.

ros2 launch pointsam_ros segment_cameras.launch.py cameras:="front=/front/points left=/left/points"

An argument left empty keeps what the parameter file says.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

# The same two folders lie side by side in the source tree and in the installed share folder.
CONFIG = Path(__file__).parent.parent / "config"
PARAMETERS = CONFIG / "segment.yaml"
LARGE_CLOUDS_PROFILE = CONFIG / "fastdds_large_clouds.xml"

TEXT_PARAMETERS = {
    "preset": "model.preset",
    "checkpoint": "model.checkpoint",
    "device": "model.device",
}
SWITCH_PARAMETERS = {
    "autostart": "autostart",
    "use_sim_time": "use_sim_time",
}


def generate_launch_description() -> LaunchDescription:
    """The launch file's arguments, and the process started with them."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "cameras",
                description="NAME=TOPIC of each camera, separated by spaces, for example "
                "'front=/front/points left=/left/points': the nodes /front/pointsam and "
                "/left/pointsam.",
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(PARAMETERS),
                description="YAML file with the parameters of all the nodes; the file of the "
                "package lists and explains all of them.",
            ),
            DeclareLaunchArgument(
                "checkpoint",
                default_value="",
                description="Path of the model's weights (.safetensors). Empty: as params_file "
                "says (the preset tiny needs none, its weights come with the package).",
            ),
            DeclareLaunchArgument(
                "preset",
                default_value="",
                description="Model: tiny, large, giant, or the path of a JSON config. "
                "Empty: as params_file says.",
            ),
            DeclareLaunchArgument(
                "device",
                default_value="",
                description="Where the model runs: cpu, cuda or cuda:N. "
                "Empty: as params_file says.",
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="",
                description="true: the nodes configure and activate themselves. false: a lifecycle "
                "manager does. Empty: as params_file says.",
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="",
                description="true: take the time from /clock (simulation, or a bag played with "
                "--clock). Empty: as params_file says.",
            ),
            DeclareLaunchArgument(
                "log_level",
                default_value="info",
                description="Least severe messages logged: debug, info, warn, error or fatal.",
            ),
            OpaqueFunction(function=start),
        ]
    )


def start(context: LaunchContext) -> list[Action]:
    """The process; its parameters are overridden, for all nodes, where an argument says so."""
    arguments = {name: value.strip() for name, value in context.launch_configurations.items()}
    cameras = arguments["cameras"].split()
    for camera in cameras:
        if not all(camera.partition("=")):
            raise RuntimeError(f"cameras: '{camera}' is no camera; it takes NAME=TOPIC")
    if not cameras:
        raise RuntimeError("cameras: no camera is given; it takes NAME=TOPIC of each")
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
            overrides[parameter] = _switch(name, arguments[name])

    # No name: it would be every node's. A pushed namespace comes before theirs.
    return [
        Node(
            package="pointsam_ros",
            executable="segment_cameras",
            arguments=cameras,
            parameters=[params_file, *([overrides] if overrides else [])],
            ros_arguments=["--log-level", arguments["log_level"]],
            additional_env=_transport_settings(),
            output="screen",
            emulate_tty=True,
        )
    ]


def _switch(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise RuntimeError(f"{name}: '{text}' is neither true nor false")
    return text.lower() == "true"


def _transport_settings() -> dict[str, str]:
    """Fast DDS settings for large clouds, unless the user has chosen some."""
    chosen = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
    if any(os.environ.get(name) for name in chosen):
        return {}
    return {"FASTRTPS_DEFAULT_PROFILES_FILE": str(LARGE_CLOUDS_PROFILE)}
