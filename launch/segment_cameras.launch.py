"""Starts one process that answers clicks on the clouds of several cameras with a shared model.

ros2 launch pointsam_ros segment_cameras.launch.py cameras:="front=/front/points left=/left/points"

An empty argument leaves the value from the parameter file.
"""

from __future__ import annotations

from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from pointsam_ros.process.launch_settings import (
    check_topic,
    given_arguments,
    node_parameters,
    settings_arguments,
    transport_settings,
)

# The same two folders lie side by side in the source tree and in the installed share folder.
CONFIG = Path(__file__).parent.parent / "config"
PARAMETERS = CONFIG / "segment.yaml"
LARGE_CLOUDS_PROFILE = CONFIG / "fastdds_large_clouds.xml"


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and starts the process with them."""
    return LaunchDescription([*_arguments(), OpaqueFunction(function=start)])


def _arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument(
            "cameras",
            description="NAME=TOPIC of each camera, separated by spaces, for example "
            "'front=/front/points left=/left/points': the nodes /front/pointsam and "
            "/left/pointsam.",
        ),
        *settings_arguments(PARAMETERS),
        DeclareLaunchArgument(
            "namespace",
            default_value="",
            description="Namespace before the cameras' names, for example /robot1, and before "
            "topics without a leading slash. Empty: none.",
        ),
    ]


def start(context: LaunchContext) -> list[Action]:
    """The process, with the given arguments overriding parameters of all nodes."""
    arguments = given_arguments(context, _arguments())
    cameras = arguments["cameras"].split()
    for camera in cameras:
        if not all(camera.partition("=")):
            raise RuntimeError(f"cameras: '{camera}' is not a camera; give NAME=TOPIC")
        check_topic("cameras", camera.partition("=")[2])
    if not cameras:
        raise RuntimeError("cameras: no camera is given; give NAME=TOPIC for each")

    # No name, since it would apply to every node. A pushed namespace precedes theirs.
    return [
        Node(
            package="pointsam_ros",
            executable="segment_cameras",
            namespace=arguments["namespace"] or None,
            arguments=cameras,
            parameters=node_parameters(arguments),
            ros_arguments=["--log-level", arguments["log_level"]],
            additional_env=transport_settings(LARGE_CLOUDS_PROFILE),
            output="screen",
            emulate_tty=True,
        )
    ]
