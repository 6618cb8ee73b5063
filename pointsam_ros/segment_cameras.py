"""Several cameras in one process: a node and a namespace for each, sharing one model."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rclpy.exceptions import InvalidNamespaceException, InvalidTopicNameException
from rclpy.validate_full_topic_name import validate_full_topic_name
from rclpy.validate_namespace import validate_namespace

from pointsam_ros.process.process import own_arguments, run
from pointsam_ros.segment_node import SegmentNode

USAGE = """Answers clicks on the clouds of several cameras, with one node each and a shared model.

usage: segment_cameras NAME=TOPIC [NAME=TOPIC ...] [--ros-args [--params-file FILE] ...]

Each camera gets the node /NAME/pointsam with its own services and topics, for example
/front/pointsam/segment_prompts after  segment_cameras front=/front/points left=/left/points

Parameters given with -p apply to all nodes; a file may set some for /front/pointsam alone. A
namespace (-r __ns:=/robot) is put before the names, /robot/front/pointsam, and before topics
without a leading slash.
"""


class CamerasError(Exception):
    """The command line names no cameras, or an invalid one."""


def cameras_of(arguments: Sequence[str], namespace: str = "") -> dict[str, str]:
    """Parses the cameras on the command line: topics by camera name.

    Args:
        arguments: NAME=TOPIC each, without the program's name and ROS arguments.
        namespace: prepended to topics that do not begin with a slash.

    Raises:
        CamerasError: no camera, not a pair, an invalid name or topic, or one given twice.
    """
    cameras: dict[str, str] = {}
    for argument in arguments:
        name, separator, topic = argument.partition("=")
        if not separator:
            raise CamerasError(f"{argument!r} is not a camera; give NAME=TOPIC")
        name = name.strip("/")
        if not topic.startswith("/"):
            topic = f"/{namespace}/{topic}" if namespace else f"/{topic}"
        try:
            validate_namespace(f"/{name}")
            validate_full_topic_name(topic)
        except (InvalidNamespaceException, InvalidTopicNameException) as error:
            raise CamerasError(f"{argument!r}: {error}") from error
        if not name:
            raise CamerasError(f"{argument!r}: the camera has no name")
        if name in cameras or topic in cameras.values():
            raise CamerasError(f"{argument!r}: this name or topic is given twice")
        cameras[name] = topic
    if not cameras:
        raise CamerasError("no camera is given")
    return cameras


def split_namespace(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Splits the namespace for all nodes from the ROS arguments.

    ROS would put every node into that same namespace, and all cameras would have the same topics.
    """
    namespace, others = "", list[str]()
    for argument in arguments:
        name, separator, value = argument.partition(":=")
        if name == "__ns" and separator and others and others[-1] in ("-r", "--remap"):
            namespace = value.strip("/")  # the last one given wins
            others.pop()
        else:
            others.append(argument)
    return namespace, others


def camera_nodes(cameras: dict[str, str], namespace: str = "") -> list[SegmentNode]:
    """Makes a node for each camera: /NAMESPACE/NAME/pointsam, subscribed to its topic.

    Raises:
        ConfigError: an invalid parameter.
    """
    return [
        SegmentNode(
            namespace=f"{namespace}/{name}".strip("/"),
            cli_args=["--ros-args", "-r", f"~/points:={topic}"],
        )
        for name, topic in cameras.items()
    ]


def main(args: list[str] | None = None) -> int:
    """Runs the nodes until SIGINT or SIGTERM; returns 0, 1 if they cannot start, 2 for misuse."""
    given = sys.argv if args is None else ["segment_cameras", *args]
    if {"-h", "--help"} & set(given[1:]):
        print(USAGE)
        return 0
    namespace, arguments = split_namespace(given)
    try:
        cameras = cameras_of(own_arguments(arguments), namespace)
    except CamerasError as error:
        print(f"segment_cameras: {error}\n\n{USAGE}", file=sys.stderr)
        return 2
    run(lambda: camera_nodes(cameras, namespace), arguments)


if __name__ == "__main__":
    sys.exit(main())
