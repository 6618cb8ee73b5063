"""A depth camera: pose, pinhole rays, and what its depth image suffers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import Tensor

from pointsam_model.scenes.config import CameraConfig
from pointsam_model.scenes.sensors.depth_sensors import (
    STEREO,
    STRUCTURED_LIGHT,
    TIME_OF_FLIGHT,
    light_noise,
    losses,
    matched_by_windows,
    matched_noise,
    mixed_light,
    window_of,
)

_KINECT_FOV = 57.3
_TALL = 0.4  # m
_REFERENCE_WIDTH = 640  # widths named _px are given for this


@dataclass(frozen=True)
class Band:
    """Rows or columns without returns."""

    rows: bool  # or columns
    start: float  # shares of the image's height or width
    end: float


@dataclass(frozen=True)
class Camera:
    """Pose and faults of one scene's camera."""

    azimuth: float  # rad, from where it looks at its target
    elevation: float  # rad above the horizon
    roll: float  # rad
    zoom: float  # how much of the image the objects fill, 1 about all of it
    offset: tuple[float, float]  # where in the image the target is, of half its width and height
    fov: float  # rad, horizontal
    kind: int  # STRUCTURED_LIGHT, STEREO or TIME_OF_FLIGHT
    axial_sigma: float  # m at 1 m
    lateral_sigma_px: float
    warp_sigma: float  # relative
    quantised: bool
    shadow: bool
    flying: float  # share of edge pixels with a depth between both sides
    edge_dropout: float  # share of edge pixels lost
    grazing_cosine: float
    holes: float  # share of the image in patches of no return
    smear_px: float  # stereo's matching window, the footprint of time of flight's pixels
    blank_loss: float  # share of points that stereo loses on surfaces without texture
    multipath: float  # share by which concave corners are filled
    bands: tuple[Band, ...]  # rows and columns without returns
    colour_shift_px: tuple[float, float]


def draw_camera(rng: Random, config: CameraConfig) -> Camera:
    """Pose and noise of one scene."""
    kinds = STEREO, TIME_OF_FLIGHT, STRUCTURED_LIGHT
    shares = config.stereo_share, config.time_of_flight_share
    kind = rng.choices(kinds, (*shares, 1.0 - sum(shares)))[0]
    kinect = rng.random() < config.kinect_fov_share and kind == STRUCTURED_LIGHT
    fov = _KINECT_FOV if kinect else rng.uniform(*config.horizontal_fov)
    shift = rng.uniform(*config.colour_shift_px)
    heading = rng.uniform(0, 2 * math.pi)
    camera = Camera(
        azimuth=rng.uniform(0, 2 * math.pi),
        elevation=math.radians(rng.triangular(*config.elevation, 38.0)),
        roll=math.radians(rng.uniform(*config.roll)) if rng.random() < 0.5 else 0.0,
        zoom=rng.uniform(0.5, 1.45),
        offset=(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)),
        fov=math.radians(fov),
        kind=kind,
        axial_sigma=rng.uniform(*config.axial_sigma),
        lateral_sigma_px=rng.uniform(*config.lateral_sigma_px),
        warp_sigma=rng.uniform(*config.warp_sigma),
        quantised=rng.random() < config.quantised_share,
        shadow=rng.random() < config.shadow_share,
        flying=rng.uniform(0.1, 0.6) if rng.random() < config.flying_share else 0.0,
        edge_dropout=rng.uniform(*config.edge_dropout),
        grazing_cosine=rng.uniform(*config.grazing_cosine),
        holes=rng.uniform(0.001, 0.02) if rng.random() < config.hole_share else 0.0,
        smear_px=0.0,
        blank_loss=0.0,
        multipath=0.0,
        bands=_bands(rng) if rng.random() < config.band_share else (),
        colour_shift_px=(shift * math.cos(heading), shift * math.sin(heading)),
    )
    if kind == STEREO:
        camera = replace(
            camera,
            axial_sigma=rng.uniform(*config.stereo_axial_sigma),
            smear_px=rng.uniform(*config.stereo_window_px),
            blank_loss=rng.uniform(*config.stereo_blank_loss),
            quantised=rng.random() < 0.3,
            holes=rng.uniform(0.0, 0.04),
        )
    elif kind == TIME_OF_FLIGHT:
        camera = replace(
            camera,
            axial_sigma=rng.uniform(*config.flight_axial_sigma),
            smear_px=rng.uniform(*config.flight_footprint_px),
            multipath=rng.uniform(*config.multipath),
            quantised=False,
            shadow=False,
            flying=rng.uniform(0.2, 0.8) if config.flying_share else 0.0,
        )
    return camera if config.noise else _faultless(camera)


def _faultless(camera: Camera) -> Camera:
    """The same view through a camera that measures all there is as it is."""
    return replace(
        camera,
        kind=STRUCTURED_LIGHT,
        axial_sigma=0.0,
        lateral_sigma_px=0.0,
        warp_sigma=0.0,
        quantised=False,
        shadow=False,
        flying=0.0,
        edge_dropout=0.0,
        grazing_cosine=0.0,
        holes=0.0,
        bands=(),
        colour_shift_px=(0.0, 0.0),
    )


def _bands(rng: Random) -> tuple[Band, ...]:
    """A border of the image, and perhaps thin bands within."""
    bands = []
    if rng.random() < 0.7:
        wide = rng.uniform(0.02, 0.12)
        start = rng.choice((0.0, 1.0 - wide))
        bands.append(Band(rng.random() < 0.4, start, start + wide))
    for _ in range(rng.randint(0 if bands else 1, 2)):
        start = rng.uniform(0.1, 0.9)
        bands.append(Band(rng.random() < 0.5, start, start + rng.uniform(0.003, 0.03)))
    return tuple(bands)


def poses(
    cameras: list[Camera], target: Tensor, radius: Tensor, config: CameraConfig
) -> tuple[Tensor, Tensor]:
    """World to camera: rotation (b,3,3) and camera positions (b,3) [m] in the world.

    target (b,3) [m]: what the cameras look at; radius (b,) [m]: how far the objects reach from it.
    The camera's frame is optical: x right, y down, z forward.
    """
    rotations, positions = [], []
    for camera, middle, reach in zip(cameras, target.tolist(), radius.tolist(), strict=True):
        # The target is at 0.4 of the height. Shelves and towers are looked at from the side.
        height = middle[2] / 0.4
        elevation = camera.elevation
        if height > _TALL:
            lowest = math.radians(config.elevation[0])
            elevation = max(lowest, elevation * min(1.0, reach / height))
        distance = max(math.hypot(reach, height / 2), 0.08) / (
            math.tan(camera.fov / 2) * camera.zoom
        )
        distance = min(max(distance, config.distance[0]), config.distance[1])
        flat = math.cos(elevation)
        back = (
            flat * math.cos(camera.azimuth),
            flat * math.sin(camera.azimuth),
            math.sin(elevation),
        )
        forward = torch.tensor([-x for x in back], dtype=torch.float64)
        right = torch.tensor(
            [-math.sin(camera.azimuth), math.cos(camera.azimuth), 0.0], dtype=torch.float64
        )
        down = torch.linalg.cross(forward, right)
        cos, sin = math.cos(camera.roll), math.sin(camera.roll)
        right, down = cos * right + sin * down, cos * down - sin * right
        half = distance * math.tan(camera.fov / 2)
        aside = right * camera.offset[0] * half + down * camera.offset[1] * half * 0.75
        position = torch.tensor(middle, dtype=torch.float64) - forward * distance - aside
        position[2] = max(float(position[2]), 0.12)
        rotations.append(torch.stack([right, down, forward]).float())
        positions.append(position.float())
    return torch.stack(rotations), torch.stack(positions)


def focal_lengths(cameras: list[Camera], config: CameraConfig, device: torch.device) -> Tensor:
    """Focal lengths (b,) in pixels of the configured width."""
    return torch.tensor(
        [0.5 * config.width / math.tan(camera.fov / 2) for camera in cameras], device=device
    )


def pixel_rays(focal: Tensor, config: CameraConfig, jitter: Tensor | None = None) -> Tensor:
    """Rays (b,3,h,w) with z = 1 through pixel centres, moved by jitter (b,2,h,w) [px]."""
    u = torch.arange(config.width, device=focal.device) - (config.width - 1) / 2
    v = torch.arange(config.height, device=focal.device) - (config.height - 1) / 2
    v, u = torch.meshgrid(v, u, indexing="ij")
    u, v = u.expand(len(focal), -1, -1), v.expand(len(focal), -1, -1)
    if jitter is not None:
        u, v = u + jitter[:, 0], v + jitter[:, 1]
    f = focal[:, None, None]
    return torch.stack([u / f, v / f, torch.ones_like(u)], 1)


def degrade(
    depth: Tensor,
    cosine: Tensor,
    hard: Tensor,
    cameras: list[Camera],
    focal: Tensor,
    draws: Tensor,
    coarse: Tensor,
    config: CameraConfig,
) -> tuple[Tensor, Tensor]:
    """Measured depth (b,h,w) [m], NaN where lost, and which pixels fly between two surfaces.

    depth (b,h,w) [m], inf where nothing is; cosine (b,h,w) of the angle between ray and normal;
    hard (b,h,w) as in `Look`; draws (b,4,h,w): a normal and three uniform fields;
    coarse (b,2,k,l): slow fields of normal numbers.
    """
    pixel = config.width / _REFERENCE_WIDTH
    values = {
        name: torch.tensor([float(getattr(c, name)) for c in cameras], device=depth.device)[
            :, None, None
        ]
        for name in (
            "kind",
            "axial_sigma",
            "warp_sigma",
            "quantised",
            "shadow",
            "flying",
            "edge_dropout",
            "grazing_cosine",
            "holes",
            "blank_loss",
        )
    }
    normal, first, second, third = draws.unbind(1)
    slow = torch.nn.functional.interpolate(
        coarse, depth.shape[1:], mode="bicubic", align_corners=False
    )
    baseline_px = focal[:, None, None] * config.baseline
    lost = ~torch.isfinite(depth)

    lost = lost | (_in_shadow(depth, baseline_px, 0.5 * pixel) & (values["shadow"] > 0))
    # Edges are about five pixels wide; where the image is coarser than that, fewer pixels are hit.
    window = max(3, 2 * round(2.5 * pixel) + 1)
    share = min(1.0, 5 * pixel / window)
    near, far = _neighbour_range(depth, window)
    slant = (1 - cosine.square()).clamp_min(0).sqrt() / cosine.clamp_min(0.05)
    along_surface = window * depth * slant / focal[:, None, None]
    at_edge = (far - near) > 0.015 + 0.01 * depth + along_surface
    lost = lost | (at_edge & (first < values["edge_dropout"] * share))
    # Nearly parallel to the surface the pattern blurs: all lost at zero, none at the limit.
    limit = values["grazing_cosine"]
    lost = lost | (cosine < limit * (0.4 + 0.6 * first))
    # Materials lose points in patches, not pixel by pixel.
    patchy = 0.5 + 0.5 * torch.erf(slow[:, 1] * 0.9)
    shares = losses(values["kind"], hard, values["blank_loss"])
    lost = lost | (0.7 * patchy + 0.3 * second < shares)
    lost = lost | (patchy < values["holes"]) | _in_bands(cameras, depth)

    flying = at_edge & ~lost & (second < values["flying"] * share)
    between = near + (far - near) * third
    blurred, noise = _blurred(depth, normal, cosine, hard, cameras, pixel)
    measured = torch.where(flying & torch.isfinite(between), between, blurred)
    flying = (measured - depth).abs() > 0.006 + 0.004 * depth * (values["kind"] > 0)
    measured = measured * (1 + values["warp_sigma"] * slow[:, 0])
    measured = measured + values["axial_sigma"] * measured.square() * noise
    # A sensor tells apart steps of disparity, not of depth.
    reference = baseline_px / pixel
    steps = (reference / (measured.clamp_min(0.05) * config.disparity_step_px)).round()
    stepped = reference / (steps.clamp_min(1) * config.disparity_step_px)
    measured = torch.where(values["quantised"] > 0, stepped, measured)
    return torch.where(lost, torch.nan, measured), flying & ~lost


def _blurred(
    depth: Tensor,
    normal: Tensor,
    cosine: Tensor,
    hard: Tensor,
    cameras: list[Camera],
    pixel: float,
) -> tuple[Tensor, Tensor]:
    """Depth (b,h,w) as each kind of camera blurs it, and its noise for axial_sigma at 1 m."""
    blurred, noise = depth.clone(), normal.clone()
    for i, camera in enumerate(cameras):
        window = window_of(camera.smear_px, pixel)
        if camera.kind == STEREO:
            blurred[i] = matched_by_windows(depth[i], window)
            noise[i] = matched_noise(normal[i], window)
        elif camera.kind == TIME_OF_FLIGHT:
            blurred[i] = mixed_light(depth[i], window, camera.multipath, pixel)
            noise[i] = light_noise(normal[i], depth[i], cosine[i], hard[i])
    return blurred, noise


def _in_bands(cameras: list[Camera], depth: Tensor) -> Tensor:
    """Pixels (b,h,w) in rows and columns without returns."""
    inside = torch.zeros_like(depth, dtype=torch.bool)
    h, w = depth.shape[1:]
    for i, camera in enumerate(cameras):
        for band in camera.bands:
            if band.rows:
                inside[i, round(band.start * h) : round(band.end * h)] = True
            else:
                inside[i, :, round(band.start * w) : round(band.end * w)] = True
    return inside


def _in_shadow(depth: Tensor, baseline_px: Tensor, tolerance: float) -> Tensor:
    """Pixels that the projector, `baseline` to the right of the camera, does not reach.

    In the projector's image a point lies at column u - f b / z. It is dark where a pixel further
    right lands further left: that one is nearer and hides it.
    """
    u = torch.arange(depth.shape[-1], device=depth.device, dtype=depth.dtype)
    column = u - baseline_px / depth
    leftmost = column.flip(-1).cummin(-1).values.flip(-1)
    return column > leftmost + tolerance


def _neighbour_range(depth: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Nearest and farthest depth in each square of `window` pixels; empty pixels do not count."""
    pool = torch.nn.functional.max_pool2d
    seen = torch.isfinite(depth)
    far = pool(torch.where(seen, depth, -torch.inf)[:, None], window, 1, window // 2)[:, 0]
    near = -pool(torch.where(seen, -depth, -torch.inf)[:, None], window, 1, window // 2)[:, 0]
    return torch.where(seen, near, depth), torch.where(seen, far, depth)
