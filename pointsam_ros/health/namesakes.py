"""Detects nodes with the same name: each gets every request, and either may answer."""

from __future__ import annotations

from rclpy.node import Node

FORGOTTEN_AFTER_S = 20  # time for which Fast DDS still lists a killed process [s]


def namesakes(node: Node) -> str | None:
    """A message if other nodes have this one's name and namespace; None: the name is unique."""
    mine = (node.get_name(), node.get_namespace())
    count = node.get_node_names_and_namespaces().count(mine)
    if count < 2:
        return None
    return (
        f"{count} nodes are named {node.get_fully_qualified_name()}, and each gets every request: "
        "start them with names or namespaces of their own (-r __node:=NAME, -r __ns:=/NAMESPACE); "
        f"one that was killed counts for {FORGOTTEN_AFTER_S} s"
    )
