"""What the shape of a cloud says about where objects end, without a network.

A cloud's kept points are joined to their neighbours (`SurfaceGraph`), each edge gets the
probability that two objects meet there (`cuts`), and edges unlikely to be cut are merged first
(`MergeTree`), so that the parts under a click are nested from the smallest to all of the cloud.
"""

from pointsam_model.geometry.merge_tree import MergeTree
from pointsam_model.geometry.partition import Partition
from pointsam_model.geometry.surface_graph import SurfaceGraph

__all__ = ["MergeTree", "Partition", "SurfaceGraph"]
