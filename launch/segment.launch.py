"""Starts the segmentation node on one cloud topic, and RViz or a bag where wanted.

ros2 launch pointsam_ros segment.launch.py cloud_topic:=/camera/depth/points

An argument left empty keeps what the parameter file says.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

# The same two folders lie side by side in the source tree and in the installed share folder.
CONFIG = Path(__file__).parent.parent / "config"
PARAMETERS = CONFIG / "segment.yaml"
RVIZ = CONFIG / "segment.rviz"
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
# The node's topics that the RViz file names, beside the clouds.
RVIZ_TOPICS = ("segmented_points", "markers", "clicked_negative")


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
            DeclareLaunchArgument(
                "rviz",
                default_value="false",
                description="true: also opens RViz with the clouds, what is segmented, and two "
                "Publish Point tools: the first clicks on an object, the second off it.",
            ),
            DeclareLaunchArgument(
                "fixed_frame",
                default_value="",
                description="Coordinate frame in which RViz shows everything and in which clicks "
                "are published. Empty: map. Without tf2 it must be the frame of the clouds.",
            ),
            DeclareLaunchArgument(
                "bag",
                default_value="",
                description="Path of a bag to play, with its clock; use_sim_time is then true "
                "unless given. Empty: none.",
            ),
            OpaqueFunction(function=start),
        ]
    )


def start(context: LaunchContext) -> list[Action]:
    """The node, and what else is asked for."""
    arguments = {name: value.strip() for name, value in context.launch_configurations.items()}
    if arguments["bag"] and not arguments["use_sim_time"]:
        arguments["use_sim_time"] = "true"  # else every cloud of the bag would be too old
    started = [_segment_node(arguments)]
    if _switch("rviz", arguments["rviz"]):
        started.append(_rviz(arguments))
    if arguments["bag"]:
        started.append(_bag(arguments["bag"]))
    return started


def _segment_node(arguments: dict[str, str]) -> Node:
    """The node, with only those parameters overridden that an argument gives."""
    overrides: dict[str, Any] = {}
    for name, parameter in TEXT_PARAMETERS.items():
        if arguments[name]:
            # Without the type, a path such as "2024" or a name such as "on" would become YAML's.
            overrides[parameter] = ParameterValue(arguments[name], value_type=str)
    for name, parameter in SWITCH_PARAMETERS.items():
        if arguments[name]:
            overrides[parameter] = _switch(name, arguments[name])

    params_file = arguments["params_file"]
    if not Path(params_file).is_file():
        raise RuntimeError(f"params_file: there is no file '{params_file}'")

    return Node(
        package="pointsam_ros",
        executable="segment_node",
        name="pointsam",
        namespace=arguments["namespace"] or None,
        parameters=[params_file, *([overrides] if overrides else [])],
        remappings=[("~/points", arguments["cloud_topic"])],
        ros_arguments=["--log-level", arguments["log_level"]],
        additional_env=_transport_settings(),
        output="screen",
        emulate_tty=True,
    )


def _rviz(arguments: dict[str, str]) -> Node:
    """RViz, whose topics are made those of the node."""
    namespace = arguments["namespace"].strip("/")
    own = f"/{namespace}/pointsam" if namespace else "/pointsam"
    remappings = [("/pointsam/points", arguments["cloud_topic"])]
    if namespace:
        remappings += [(f"/pointsam/{name}", f"{own}/{name}") for name in RVIZ_TOPICS]
    sim_time = bool(arguments["use_sim_time"]) and _switch(
        "use_sim_time", arguments["use_sim_time"]
    )
    frame = ["-f", arguments["fixed_frame"]] if arguments["fixed_frame"] else []
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", str(RVIZ), *frame],
        parameters=[{"use_sim_time": sim_time}],
        remappings=remappings,
        output="screen",
    )


def _bag(path: str) -> ExecuteProcess:
    if not Path(path).exists():
        raise RuntimeError(f"bag: there is nothing at '{path}'")
    return ExecuteProcess(
        cmd=["ros2", "bag", "play", path, "--clock"],
        additional_env=_transport_settings(),
        output="screen",
    )


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
