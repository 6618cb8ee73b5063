"""What a user may set of reduction, predictor, proposals and tracking, with units and ranges.

ROS parameters, `config/segment.yaml` and the command line are generated from these classes, so a
default is written once.
"""

from __future__ import annotations

from dataclasses import dataclass

from pointsam_model.config.building import setting

Device = str  # "auto", "cpu", "cuda", "cuda:1"


@dataclass(frozen=True)
class ReductionConfig:
    """From all points a sensor sent to those the network sees."""

    max_points: int = setting(
        0,
        "most points the network sees, chosen by farthest point sampling; 0: the preset's",
        low=0,
        high=1_000_000,
    )
    voxel_size_m: float = setting(
        0.0, "edge of the voxels of which one point each is kept [m]; 0: off", low=0.0, high=100.0
    )
    min_range_m: float = setting(
        0.0,
        "points nearer to the sensor are left out [m]; it is where its place is given (the node:"
        " clouds.sensor_frame), else at the origin of the cloud's frame",
        low=0.0,
        high=1e6,
    )
    max_range_m: float = setting(
        0.0,
        "points farther from the sensor are left out [m], from the same place; 0: off",
        low=0.0,
        high=1e6,
    )
    crop_min_m: tuple[float, ...] = setting(
        (), "least x, y, z of points to keep [m, cloud's frame]; empty: off", lengths=(0, 3)
    )
    crop_max_m: tuple[float, ...] = setting(
        (), "greatest x, y, z of points to keep [m, cloud's frame]; empty: off", lengths=(0, 3)
    )


@dataclass(frozen=True)
class PredictorConfig:
    """How a cloud is embedded and prompts are answered."""

    num_patches: int = setting(0, "patches a cloud is cut into; 0: the preset's", low=0, high=16384)
    patch_size: int = setting(0, "points in a patch; 0: the preset's", low=0, high=2048)
    first_click_mask: bool = setting(
        True,
        "several clicks at once without a mask: decode the first alone and use its mask as prompt",
    )
    first_click_votes: int = setting(
        0,
        "patches around a single click that are clicked too, whose masks vote: better masks of one "
        "click, worse starts for more of them; 12 is a good number; 0: off, as published",
        low=0,
        high=256,
    )
    geometry: bool = setting(
        True,
        "parts of the cloud's surface are candidates beside the network's masks, and a learned"
        " quality chooses; false: the network alone, as published",
    )
    looks: str = setting(
        "auto",
        "auto: a click in a large cloud, or on something tiny, is answered from its surroundings,"
        " looked at for themselves; whole: always from all of the cloud, as published",
        choices=("auto", "whole"),
    )
    snap_radius_m: float = setting(
        0.05, "a click may be this far from the nearest point [m]", low=0.0, high=1e6
    )
    snap_range_fraction: float = setting(
        0.02,
        "or, where that is more, this share of its distance to the sensor; where the sensor's place"
        " is not known, three times the points' spacing there, at most this share of the cloud's"
        " extent",
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class ProposalConfig:
    """How everything in a cloud is segmented, and which masks are proposed as objects."""

    points: int = setting(
        1024,
        "without predictor.geometry: clicks on a cloud; clouds of few kept points or patches get"
        " fewer. With it, each part of the surface is clicked",
        low=1,
        high=16_384,
    )
    min_score: float = setting(
        0.3,
        "instances of a lower score are dropped: it says how probably one is an object; without"
        " predictor.geometry it is the geometric mean of predicted IoU and stability",
        low=0.0,
        high=1.0,
    )
    min_stability: float = setting(
        0.3,
        "without predictor.geometry: rough masks that change more between logits -1 and +1 (IoU)"
        " are dropped",
        low=0.0,
        high=1.0,
    )
    nms_iou: float = setting(
        0.5,
        "of masks that overlap more (IoU), the best stays; the paper has 0.3",
        low=0.0,
        high=1.0,
    )
    max_instances: int = setting(250, "most instances of a cloud", low=1, high=10_000)
    min_points: int = setting(
        30, "instances of fewer points of the source cloud are dropped", low=1, high=1_000_000
    )
    max_share: float = setting(
        0.5,
        "masks of more than this share of the points that are looked at are no objects",
        low=0.0,
        high=1.0,
    )
    max_flat_share: float = setting(
        0.1,
        "without predictor.geometry: flat masks of more than this share of the points are what"
        " objects stand on; 1: keep them",
        low=0.0,
        high=1.0,
    )
    piece_share: float = setting(
        0.1,
        "without predictor.geometry: unconnected pieces and holes below this share of a mask's"
        " largest piece go; 0: keep them",
        low=0.0,
        high=1.0,
    )
    batch_mib: int = setting(
        256,
        "without predictor.geometry: memory for a decoder batch on a CPU [MiB]: more objects at"
        " once, at most 128; a GPU's is a share of what is free",
        low=1,
        high=1_000_000,
    )


@dataclass(frozen=True)
class TrackingConfig:
    """When an instance of one cloud is that of an earlier one."""

    enabled: bool = setting(False, "instances keep their ids from cloud to cloud")
    keep_s: float = setting(
        2.0,
        "an object that was looked for in vain keeps its id so long after it was last seen [s]",
        low=0.0,
        high=86_400.0,
    )
    min_overlap: float = setting(
        0.2, "an instance is its earlier self from this IoU in space", low=0.01, high=1.0
    )
    min_shape: float = setting(
        0.5,
        "one that jumped is, if both are so alike (IoU with their middles put together)",
        low=0.01,
        high=1.0,
    )
    max_speed: float = setting(
        1.0,
        "objects move at most so fast in the tracking frame [m/s]; 0: none jumps",
        low=0.0,
        high=100.0,
    )
    voxel_share: float = setting(
        0.06, "edge of the voxels that are compared, of an object's diagonal", low=0.01, high=0.5
    )
    voxel_m: float = setting(
        0.005, "and at least this, above the sensor's noise [m]", low=0.0001, high=10.0
    )
    follow_min_score: float = setting(
        0.3, "a followed object is found from this predicted IoU", low=0.0, high=1.0
    )
