"""User settings of reduction, predictor, proposals and tracking, with units and ranges.

ROS parameters, `config/segment.yaml` and the command line are generated from these classes, so each
default is written only once.
"""

from __future__ import annotations

from dataclasses import dataclass

from pointsam_model.config.building import setting

Device = str  # "auto", "cpu", "cuda", "cuda:1"


@dataclass(frozen=True)
class ReductionConfig:
    """Which of the sensor's points the network sees."""

    max_points: int = setting(
        0,
        "most points the network sees, chosen by farthest point sampling; 0: the preset's",
        low=0,
        high=1_000_000,
    )
    voxel_size_m: float = setting(
        0.0, "voxel size [m]; one point is kept per voxel; 0: off", low=0.0, high=100.0
    )
    min_range_m: float = setting(
        0.0,
        "points nearer to the sensor are left out [m]; measured from the sensor's given"
        " position (in the node: clouds.sensor_frame), else from the origin of the cloud's frame",
        low=0.0,
        high=1e6,
    )
    max_range_m: float = setting(
        0.0,
        "points farther from the sensor are left out [m], measured from the same position; 0: off",
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
        "several clicks at once without a mask: decode the first alone and use its mask as a"
        " prompt",
    )
    first_click_votes: int = setting(
        0,
        "patches around a single click that are clicked too, and whose masks vote: better masks"
        " for one click, a worse start for further clicks; 12 is a good number; 0: off, as"
        " published",
        low=0,
        high=256,
    )
    geometry: bool = setting(
        True,
        "true: parts of the cloud's surface are candidates as well as the network's masks, and"
        " a learned quality score chooses; false: the network alone, as published",
    )
    looks: str = setting(
        "auto",
        "auto: a click in a large cloud, or on something tiny, is answered from a crop of its"
        " surroundings, embedded separately; whole: always from the whole cloud, as published",
        choices=("auto", "whole"),
    )
    snap_radius_m: float = setting(
        0.05, "greatest distance of a click from the nearest point [m]", low=0.0, high=1e6
    )
    snap_range_fraction: float = setting(
        0.02,
        "or, if greater, this fraction of the click's distance to the sensor; if the sensor's"
        " position is unknown, three times the local point spacing, at most this fraction of the"
        " cloud's extent",
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class ProposalConfig:
    """How all objects of a cloud are found, and which masks are proposed as objects."""

    points: int = setting(
        1024,
        "without predictor.geometry: clicks per cloud; clouds with few kept points or patches"
        " get fewer. With it, each part of the surface is clicked",
        low=1,
        high=16_384,
    )
    min_score: float = setting(
        0.3,
        "instances with a lower score are dropped; the score says how likely one is to be an"
        " object; without predictor.geometry it is the geometric mean of predicted IoU and"
        " stability",
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
        "of masks that overlap more than this (IoU), only the best is kept; the paper uses 0.3",
        low=0.0,
        high=1.0,
    )
    max_instances: int = setting(250, "most instances per cloud", low=1, high=10_000)
    min_points: int = setting(
        30, "instances with fewer points of the source cloud are dropped", low=1, high=1_000_000
    )
    max_share: float = setting(
        0.5,
        "masks of more than this share of the embedded points are not objects",
        low=0.0,
        high=1.0,
    )
    max_flat_share: float = setting(
        0.1,
        "without predictor.geometry: flat masks of more than this share of the points are"
        " dropped as supporting surfaces; 1: keep them",
        low=0.0,
        high=1.0,
    )
    piece_share: float = setting(
        0.1,
        "without predictor.geometry: unconnected pieces and holes below this share of a mask's"
        " largest piece are removed; 0: keep them",
        low=0.0,
        high=1.0,
    )
    batch_mib: int = setting(
        256,
        "without predictor.geometry: memory for a decoder batch on a CPU [MiB]; more allows"
        " more objects at once, up to 128; on a GPU it is a share of the free memory",
        low=1,
        high=1_000_000,
    )


@dataclass(frozen=True)
class TrackingConfig:
    """When an instance is matched to one of an earlier cloud."""

    enabled: bool = setting(False, "instances keep their ids from cloud to cloud")
    keep_s: float = setting(
        2.0,
        "how long an object that is not found keeps its id after it was last seen [s]",
        low=0.0,
        high=86_400.0,
    )
    min_overlap: float = setting(
        0.2,
        "least IoU in space at which an instance is matched to an earlier one",
        low=0.01,
        high=1.0,
    )
    min_shape: float = setting(
        0.5,
        "least IoU with the centres aligned at which an instance that jumped is matched",
        low=0.01,
        high=1.0,
    )
    max_speed: float = setting(
        1.0,
        "greatest speed of objects in the tracking frame [m/s]; 0: no jumps",
        low=0.0,
        high=100.0,
    )
    voxel_share: float = setting(
        0.06, "size of the compared voxels, as a share of the object's diagonal", low=0.01, high=0.5
    )
    voxel_m: float = setting(
        0.005,
        "least size of the compared voxels, above the sensor's noise [m]",
        low=0.0001,
        high=10.0,
    )
    follow_min_score: float = setting(
        0.3, "least predicted IoU at which a followed object counts as found", low=0.0, high=1.0
    )
