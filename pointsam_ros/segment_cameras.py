"""Several cameras in one process: a node each, in a namespace each, with one model for all."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rclpy.exceptions import InvalidNamespaceException, InvalidTopicNameException
from rclpy.validate_full_topic_name import validate_full_topic_name
from rclpy.validate_namespace import validate_namespace

from pointsam_ros.process.process import own_arguments, run
from pointsam_ros.segment_node import SegmentNode

USAGE = """Answers clicks on several cameras' clouds: a node each, in one process, with one model.

usage: segment_cameras NAME=TOPIC [NAME=TOPIC ...] [--ros-args [--params-file FILE] ...]

Each camera has the node /NAME/pointsam with its services and topics, for example
/front/pointsam/segment_prompts after  segment_cameras front=/front/points left=/left/points

Parameters after -p go to all of them; a file may have some for /front/pointsam alone. A namespace
(-r __ns:=/robot) comes before the names, /robot/front/pointsam, and before topics without a leading
slash.
"""


class CamerasError(Exception):
    """The command line names no cameras, or not rightly."""


def cameras_of(arguments: Sequence[str], namespace: str = "") -> dict[str, str]:
    """The topic of each camera, by the camera's name.

    Args:
        arguments: of the command line, without the program and what is ROS's: NAME=TOPIC.
        namespace: before a topic that does not begin with a slash.

    Raises:
        CamerasError: none, no pair, a name or topic that ROS does not take, or one given twice.
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
    """The namespace for all nodes that ROS's arguments give, and the arguments without it.

    ROS would give every node that very namespace: all cameras would be one.
    """
    namespace, others = "", list[str]()
    for argument in arguments:
        name, separator, value = argument.partition(":=")
        if name == "__ns" and separator and others and others[-1] in ("-r", "--remap"):
            namespace = value.strip("/")  # of several the last one counts
            others.pop()
        else:
            others.append(argument)
    return namespace, others


def camera_nodes(cameras: dict[str, str], namespace: str = "") -> list[SegmentNode]:
    """A node a camera: /NAMESPACE/NAME/pointsam, which takes the clouds of its topic.

    Raises:
        ConfigError: a wrong parameter.
    """
    return [
        SegmentNode(
            namespace=f"{namespace}/{name}".strip("/"),
            cli_args=["--ros-args", "-r", f"~/points:={topic}"],
        )
        for name, topic in cameras.items()
    ]


def main(args: list[str] | None = None) -> int:
    """Runs the nodes until SIGINT or SIGTERM; 0 then, 1 where they cannot start, 2 misused."""
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
