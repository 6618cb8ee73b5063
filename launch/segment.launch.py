"""Starts the segmentation node on one cloud topic.

ros2 launch pointsam_ros segment.launch.py cloud_topic:=/camera/depth/points

An argument left empty keeps what the parameter file says.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
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
    """The launch file's arguments, and the node started with them."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "cloud_topic",
                description="Topic of the clouds to segment (sensor_msgs/PointCloud2), "
                "for example /camera/depth/points.",
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(PARAMETERS),
                description="YAML file with the parameters of the node; the file of the package "
                "lists and explains all of them.",
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
                "namespace",
                default_value="",
                description="Namespace of the node, for example /robot1. Empty: none.",
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="",
                description="true: the node configures and activates itself. false: a lifecycle "
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
            OpaqueFunction(function=start_node),
        ]
    )


def start_node(context: LaunchContext) -> list[Node]:
    """The node, with only those parameters overridden that an argument gives."""

    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context).strip()

    overrides: dict[str, Any] = {}
    for name, parameter in TEXT_PARAMETERS.items():
        if argument(name):
            # Without the type, a path such as "2024" or a name such as "on" would become YAML's.
            overrides[parameter] = ParameterValue(argument(name), value_type=str)
    for name, parameter in SWITCH_PARAMETERS.items():
        if argument(name):
            overrides[parameter] = _switch(name, argument(name))

    params_file = argument("params_file")
    if not Path(params_file).is_file():
        raise RuntimeError(f"params_file: there is no file '{params_file}'")

    return [
        Node(
            package="pointsam_ros",
            executable="segment_node",
            name="pointsam",
            namespace=argument("namespace") or None,
            parameters=[params_file, *([overrides] if overrides else [])],
            remappings=[("~/points", argument("cloud_topic"))],
            ros_arguments=["--log-level", argument("log_level")],
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
