"""Starts the segmentation node on one cloud topic, and RViz or a bag where wanted.

ros2 launch pointsam_ros segment.launch.py cloud_topic:=/camera/depth/points

An argument left empty keeps what the parameter file says.
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
LINE = 4096  # characters of its log that are kept to be compared
READY_AFTER_S = 10.0  # where the log does not say it

# The node's topics that the RViz file names, beside the clouds.
RVIZ_TOPICS = ("segmented_points", "markers", "clicked_negative")


def generate_launch_description() -> LaunchDescription:
    """The launch file's arguments, and the node started with them."""
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
    """The node, and what else is asked for."""
    arguments = given_arguments(context, _arguments())
    check_topic("cloud_topic", arguments["cloud_topic"])
    if arguments["bag"] and not arguments["use_sim_time"]:
        arguments["use_sim_time"] = "true"  # else every cloud of the bag would be too old
    # What cannot be started is told before anything is: a node that is left over goes on for ever.
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
    """The node, with only those parameters overridden that an argument gives."""
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
    """RViz, whose topics are made those of the node in its namespace ("" or "/robot1")."""
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
    """Starts something when the node says that it is ready: a short bag would be over before."""
    if log_level.lower() not in ("debug", "info"):  # the node does not say it then
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
