"""The smallest client of the node: a click on the newest cloud -> the object and its points.

    python examples/01_service.py 0.05 -0.10 0.82

The click is in the cloud's coordinate frame [m]. A node with callbacks of its own awaits
`segment_async` in one of them; a program without, such as this, calls `segment`.
"""

from __future__ import annotations

import sys

import rclpy

from pointsam_ros.client import NoAnswerError, PointSamClient, RefusedError


def main() -> int:
    """Asks and prints the object; 1 where there is none."""
    rclpy.init()
    client = PointSamClient(rclpy.create_node("planner"))
    try:
        answer = client.segment([[float(value) for value in sys.argv[1:4]]], return_points=True)
    except (NoAnswerError, RefusedError) as error:
        print(f"no object: {error}")
        return 1
    if not answer.result.instances:
        print(f"no object: {answer.message}")
        return 1
    instance = answer.result.instances[0]  # score, indices, centroid, oriented box
    points = answer.object_points[0]  # a PointCloud2 with the source's own fields
    fields = " ".join(field.name for field in points.fields)
    print(f"{points.width} points with {fields}, score {instance.score:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
