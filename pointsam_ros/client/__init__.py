"""For programs that want masks: asks the node, without torch and without the model.

client = PointSamClient(node)
answer = await client.segment_async([(0.1, 0.05, 0.8)], return_points=True)
"""

from pointsam_ros.client.client import NoAnswerError, PointSamClient, RefusedError
from pointsam_ros.codes import Code

__all__ = ["Code", "NoAnswerError", "PointSamClient", "RefusedError"]
