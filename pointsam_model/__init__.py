"""Point-SAM for point clouds, independent of ROS: arrays in, masks out."""

from pointsam_model.cloud.cloud import Cloud, CloudLayout, PointField, ReducedCloud
from pointsam_model.cloud.valid import FARTHEST_M
from pointsam_model.config.model import ModelConfig
from pointsam_model.config.settings import (
    PredictorConfig,
    ProposalConfig,
    ReductionConfig,
    TrackingConfig,
)
from pointsam_model.device.memory import (
    DeviceMemory,
    device_memory,
    free_device_memory,
    wait_for_device,
)
from pointsam_model.errors import (
    CancelledError,
    CheckpointError,
    CloudError,
    CloudWarning,
    ConfigError,
    OutOfMemory,
    PointSamError,
    PromptError,
    TooFarError,
)
from pointsam_model.instances.flat import flattened
from pointsam_model.instances.instance import Instance, OrientedBox, oriented_box
from pointsam_model.nn import PointSAM
from pointsam_model.segment.box_prompts import Box
from pointsam_model.segment.embedding import Embedding
from pointsam_model.segment.prediction import MaskPrompt, Prediction, instances_of
from pointsam_model.segment.predictor import Predictor
from pointsam_model.segment.prompt import Prompt
from pointsam_model.segment.proposals import ProposalGenerator
from pointsam_model.segment.warm_up import warm_up
from pointsam_model.tracking.follower import Follower
from pointsam_model.tracking.tracker import Tracker
from pointsam_model.version import __version__ as __version__
from pointsam_model.weights import check_model, load_model

__all__ = [
    "FARTHEST_M",
    "Box",
    "CancelledError",
    "CheckpointError",
    "Cloud",
    "CloudError",
    "CloudLayout",
    "CloudWarning",
    "ConfigError",
    "DeviceMemory",
    "Embedding",
    "Follower",
    "Instance",
    "MaskPrompt",
    "ModelConfig",
    "OrientedBox",
    "OutOfMemory",
    "PointField",
    "PointSAM",
    "PointSamError",
    "Prediction",
    "Predictor",
    "PredictorConfig",
    "Prompt",
    "PromptError",
    "ProposalConfig",
    "ProposalGenerator",
    "ReducedCloud",
    "ReductionConfig",
    "TooFarError",
    "Tracker",
    "TrackingConfig",
    "check_model",
    "device_memory",
    "flattened",
    "free_device_memory",
    "instances_of",
    "load_model",
    "oriented_box",
    "wait_for_device",
    "warm_up",
]
