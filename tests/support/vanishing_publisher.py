"""Publishes large clouds as fast as it can, until it is killed; see test_faults_outside.py.

    python vanishing_publisher.py CHILDREN SECONDS SEED

A process of its own that kills its children, forked from one that has imported everything, each
after a random part of SECONDS: in the middle of a message as a rule.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import rclpy
from sensor_msgs.msg import PointCloud2, PointField

SIDE = 700  # its square are the points of a cloud: 7.8 MB


def publish() -> None:
    rclpy.init()
    node = rclpy.create_node("driver")
    publisher = node.create_publisher(PointCloud2, "/pointsam/points", 5)
    axes = [PointField(name=axis, offset=4 * index, datatype=7, count=1)
            for index, axis in enumerate("xyz")]  # fmt: skip
    cloud = PointCloud2(height=SIDE, width=SIDE, point_step=16, row_step=16 * SIDE, fields=axes)
    cloud.header.frame_id = "camera"
    cloud.data = os.urandom(16 * SIDE * SIDE)
    while True:
        cloud.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(cloud)


def main() -> None:
    children, seconds, seed = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    moments = random.Random(seed)
    for _ in range(children):
        child = os.fork()
        if not child:
            publish()
        time.sleep(0.5 + moments.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
