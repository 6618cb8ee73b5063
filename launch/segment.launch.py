"""Starts the segmentation node on one cloud topic, optionally with RViz or a bag.

ros2 launch pointsam_ros segment.launch.py cloud_topic:=/camera/depth/points

An empty argument leaves the value from the parameter file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessIO
from launch_ros.actions import Node

from pointsam_ros.process.launch_settings import (
    check_installed,
    check_topic,
    full_namespace,
    given_arguments,
    node_parameters,
    settings_arguments,
    switch,
    transport_settings,
)

# The same two folders lie side by side in the source tree and in the installed share folder.
CONFIG = Path(__file__).parent.parent / "config"
PARAMETERS = CONFIG / "segment.yaml"
RVIZ = CONFIG / "segment.rviz"
LARGE_CLOUDS_PROFILE = CONFIG / "fastdds_large_clouds.xml"

READY = "ready: clouds from"  # in the node's log
LINE = 4096  # trailing characters of its log kept for the comparison
READY_AFTER_S = 10.0  # if the log does not show it [s]

# The node's topics that the RViz file names, beside the clouds.
RVIZ_TOPICS = ("segmented_points", "markers", "clicked_negative")


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and starts the node with them."""
    return LaunchDescription([*_arguments(), OpaqueFunction(function=start)])


def _arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument(
            "cloud_topic",
            description="Topic of the clouds to segment (sensor_msgs/PointCloud2), for"
            " example /camera/depth/points.",
        ),
        *settings_arguments(PARAMETERS),
        DeclareLaunchArgument(
            "namespace",
            default_value="",
            description="Namespace of the node, for example /robot1. Empty: none.",
        ),
        DeclareLaunchArgument(
            "rviz",
            default_value="false",
            description="true: also opens RViz with the clouds, the segmented objects, and"
            " two Publish Point tools: one for clicks on an object, one for clicks off it.",
        ),
        DeclareLaunchArgument(
            "fixed_frame",
            default_value="",
            description="Coordinate frame in which RViz shows everything and in which clicks"
            " are published. Empty: map. Without tf2 it must be the frame of the clouds.",
        ),
        DeclareLaunchArgument(
            "bag",
            default_value="",
            description="Path of a bag to play, with its clock; use_sim_time then defaults"
            " to true. Empty: none.",
        ),
    ]


def start(context: LaunchContext) -> list[Action]:
    """The node, and RViz and the bag if requested."""
    arguments = given_arguments(context, _arguments())
    check_topic("cloud_topic", arguments["cloud_topic"])
    if arguments["bag"] and not arguments["use_sim_time"]:
        arguments["use_sim_time"] = "true"  # else all clouds of the bag would be too old
    # Checked before anything is started, so that no node is left running after an error.
    with_rviz = switch("rviz", arguments["rviz"])
    if with_rviz:
        check_installed("rviz", "rviz2", "rviz2")
    if arguments["bag"]:
        check_installed("bag", "ros2bag", "ros2bag ros-$ROS_DISTRO-rosbag2")
    node = _segment_node(arguments)
    started = [node]
    if with_rviz:
        pushed = str(context.launch_configurations.get("ros_namespace", ""))
        started.append(_rviz(arguments, full_namespace(pushed, arguments["namespace"])))
    if arguments["bag"]:
        started.append(_once_ready(node, _bag(arguments["bag"]), arguments["log_level"]))
    return started


def _segment_node(arguments: dict[str, str]) -> Node:
    """The node, with only the given arguments overriding parameters."""
    return Node(
        package="pointsam_ros",
        executable="segment_node",
        name="pointsam",
        namespace=arguments["namespace"] or None,
        parameters=node_parameters(arguments),
        remappings=[("~/points", arguments["cloud_topic"])],
        ros_arguments=["--log-level", arguments["log_level"]],
        additional_env=transport_settings(LARGE_CLOUDS_PROFILE),
        output="screen",
        emulate_tty=True,
    )


def _rviz(arguments: dict[str, str], namespace: str) -> Node:
    """RViz, with its topics remapped to the node's in its namespace ("" or "/robot1")."""
    own, clouds = f"{namespace}/pointsam", arguments["cloud_topic"]
    if clouds.startswith("~/"):
        clouds = f"{own}/{clouds[2:]}"
    elif not clouds.startswith("/"):
        clouds = f"{namespace}/{clouds}"
    remappings = [("/pointsam/points", clouds)]
    if namespace:
        remappings += [(f"/pointsam/{name}", f"{own}/{name}") for name in RVIZ_TOPICS]
    sim_time = bool(arguments["use_sim_time"]) and switch("use_sim_time", arguments["use_sim_time"])
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


def _once_ready(node: Node, action: Action, log_level: str) -> Action:
    """Starts an action once the node logs that it is ready, so that a short bag is not missed."""
    if log_level.lower() not in ("debug", "info"):  # the line is not logged then
        return TimerAction(period=READY_AFTER_S, actions=[action])
    heard, begun = [""], list[Action]()

    def on_output(event: Any) -> list[Action] | None:
        heard[0] = (heard[0] + event.text.decode(errors="replace"))[-LINE:]
        if begun or READY not in heard[0]:
            return None
        begun.append(action)
        return begun

    return RegisterEventHandler(
        OnProcessIO(target_action=node, on_stdout=on_output, on_stderr=on_output)
    )


def _bag(path: str) -> ExecuteProcess:
    if not Path(path).exists():
        raise RuntimeError(f"bag: there is nothing at '{path}'")
    return ExecuteProcess(
        cmd=["ros2", "bag", "play", path, "--clock"],
        additional_env=transport_settings(LARGE_CLOUDS_PROFILE),
        output="screen",
    )
