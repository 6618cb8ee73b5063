"""A grasp planner's client: a click on an object -> its points -> its box and how to approach it.

    python examples/02_grasp.py 0.1 0.05 0.8 --opening 0.085

The click is in the cloud's coordinate frame [m], whose origin is the sensor.

Besides ROS it needs `pointsam_interfaces` and `pointsam_ros.client` only, neither torch nor the
model. The client asks again what is lost or cannot be answered yet, and never waits for ever.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
import rclpy
from geometry_msgs.msg import Quaternion
from sensor_msgs.msg import PointCloud2, PointField

from pointsam_interfaces.msg import Instance
from pointsam_ros.client import NoAnswerError, PointSamClient, RefusedError

STANDOFF_M = 0.10  # between the hand and the object before it closes in


@dataclass(frozen=True)
class Grasp:
    """A parallel gripper's grasp, in the cloud's coordinate frame.

    Attributes:
        approach: (3,) unit vector along which the hand comes, away from the sensor.
        closing: (3,) unit vector along which the fingers close.
        width: what is between the fingers [m].
        pregrasp: (3,) where the hand waits, STANDOFF_M before the object's nearest point [m].
    """

    approach: np.ndarray
    closing: np.ndarray
    width: float
    pregrasp: np.ndarray


def grasp_of(instance: Instance, points: np.ndarray) -> Grasp:
    """Closes over the box's shortest side; comes along the side that points away from the sensor.

    Args:
        instance: the object; its box has sides x >= y >= z.
        points: (n,3) its points [m].
    """
    place = instance.box_pose.position
    center = np.array([place.x, place.y, place.z])
    long, middle, short = axes_of(instance.box_pose.orientation)
    view = center / np.linalg.norm(center)
    approach = max((long, middle), key=lambda side: abs(side @ view))
    approach = approach * (1.0 if approach @ view > 0 else -1.0)
    nearest = ((points - center) @ approach).min()
    pregrasp = center + (nearest - STANDOFF_M) * approach
    return Grasp(approach, short, float(instance.box_size.z), pregrasp)


def axes_of(turn: Quaternion) -> np.ndarray:
    """(3,3): the box's own x, y and z, a unit vector each."""
    x, y, z, w = turn.x, turn.y, turn.z, turn.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)],
            [2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)],
            [2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def xyz_of(cloud: PointCloud2) -> np.ndarray:
    """(n,3) float64: the points [m] of a cloud of one row, as those of `object_points` are."""
    order = ">" if cloud.is_bigendian else "<"
    kinds = {PointField.FLOAT32: f"{order}f4", PointField.FLOAT64: f"{order}f8"}
    fields = {field.name: field for field in cloud.fields}
    layout = np.dtype(
        {
            "names": list("xyz"),
            "formats": [kinds[fields[axis].datatype] for axis in "xyz"],
            "offsets": [fields[axis].offset for axis in "xyz"],
            "itemsize": cloud.point_step,
        }
    )
    points = np.frombuffer(cloud.data, layout, count=cloud.width)
    return np.column_stack([points[axis] for axis in "xyz"]).astype(np.float64)


def main() -> int:
    """Asks and prints the grasp; 1 where there is none."""
    parser = argparse.ArgumentParser(description="Prints a grasp of the object at a point.")
    parser.add_argument("point", type=float, nargs=3, help="on the object, cloud's frame [m]")
    parser.add_argument("--opening", type=float, default=0.085, help="of the gripper [m]")
    parser.add_argument("--node", default="/pointsam", help="name of the node that is asked")
    parser.add_argument("--timeout", type=float, default=10.0, help="of an attempt [s]")
    asked = parser.parse_args()
    rclpy.init()
    client = PointSamClient(rclpy.create_node("grasp_client"), asked.node, timeout_s=asked.timeout)
    try:
        response = client.segment([asked.point], return_points=True)
    except (NoAnswerError, RefusedError) as error:
        print(f"no object: {error}")
        return 1
    if not response.result.instances:
        print(f"no object: {response.message}")
        return 1
    points = xyz_of(response.object_points[0])
    grasp = grasp_of(response.result.instances[0], points)
    if grasp.width > asked.opening:
        print(f"too wide: {grasp.width:.3f} m, the gripper opens {asked.opening:.3f} m")
        return 1
    print(f"{len(points)} points, {grasp.width:.3f} m between the fingers")
    for name in ("pregrasp", "approach", "closing"):
        print(name, *(f"{value:.4f}" for value in getattr(grasp, name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
