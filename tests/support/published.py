"""The published way: the network alone, on all of a cloud."""

from pointsam_model import PredictorConfig

PUBLISHED = PredictorConfig(geometry=False, looks="whole")
