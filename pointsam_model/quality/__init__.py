"""Which mask to return: candidates from network and geometry, and a score that knows.

A click, and all clicks after it, get a pool of candidate masks (`Pool`): what the network answers,
the parts of the partition that obey the clicks, what those add to the mask so far, and walkers
that spread the network's answer along the surface. `Quality` predicts the IoU of each from what is
cheap to know, and the best is returned with that prediction as its score.
"""

from pointsam_model.quality.candidates import Asked, NetworkAnswer, Pool, pool_of
from pointsam_model.quality.quality import Quality, quality_of, shipped_quality

__all__ = ["Asked", "NetworkAnswer", "Pool", "Quality", "pool_of", "quality_of", "shipped_quality"]
