"""Depth cameras by kind: each measures a known depth image with the faults of its kind."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch

from pointsam_model.scenes import SceneConfig
from pointsam_model.scenes.sensors.camera import Band, Camera, _in_shadow, degrade, draw_camera
from pointsam_model.scenes.sensors.depth_sensors import (
    BLANK,
    STEREO,
    STRUCTURED_LIGHT,
    TIME_OF_FLIGHT,
    mixed_light,
)


def test_projector_shadow_lies_left_of_a_near_object() -> None:
    depth = torch.full((1, 1, 60), 1.0)
    depth[..., 30:40] = 0.5
    dark = _in_shadow(depth, torch.tensor([[[10.0]]]), 0.1)[0, 0]
    # Disparities are 10 and 20 pixels: it hides the ten left of it, the first by a tie.
    assert dark.nonzero().squeeze(1).tolist() == list(range(21, 30))


def test_stereo_noise_grows_with_the_square_of_depth_and_is_shared_by_neighbours() -> None:
    near, far = (_noise_of(STEREO, distance) for distance in (0.6, 1.8))
    assert float(far.std() / near.std()) == pytest.approx(9.0, rel=0.15)
    assert _correlation(near) > 0.3
    assert abs(_correlation(_noise_of(STRUCTURED_LIGHT, 0.6))) < 0.1


def test_time_of_flight_is_noisier_on_dark_surfaces_and_fills_corners() -> None:
    bright = _noise_of(TIME_OF_FLIGHT, 1.0, hard=0.0)
    dark = _noise_of(TIME_OF_FLIGHT, 1.0, hard=0.6)
    seen = torch.isfinite(dark)
    assert float(dark[seen].std()) > 1.4 * float(bright.std())
    # Two walls that meet in the middle, farthest away there.
    corner = (1.0 - 0.004 * (torch.arange(64) - 32).abs()).expand(48, 64)
    seen_corner = mixed_light(corner, 3, 0.5, 0.5)
    assert float(corner[24, 32] - seen_corner[24, 32]) > 0.002
    assert float((corner - seen_corner)[:, 8:20].abs().max()) < 5e-4


def test_stereo_turns_edges_into_ramps_that_belong_to_no_object() -> None:
    depth = torch.full((1, 48, 64), 1.0)
    depth[..., 32:] = 1.5
    measured, flying = _degraded(_camera(STEREO, smear_px=50.0), depth)
    between = (measured > 1.05) & (measured < 1.4)
    assert int(between.sum()) > 48
    assert bool(flying[between].all())


def test_stereo_loses_points_without_texture_and_every_camera_on_shiny_surfaces() -> None:
    depth = torch.full((1, 48, 64), 1.0)
    share = {}
    for kind in (STRUCTURED_LIGHT, STEREO, TIME_OF_FLIGHT):
        for hard in (0.0, BLANK, 0.7):
            measured, _ = _degraded(_camera(kind, blank_loss=0.3), depth, hard)
            share[kind, hard] = float(measured.isnan().float().mean())
    assert all(share[kind, 0.0] == 0.0 for kind in (STRUCTURED_LIGHT, STEREO, TIME_OF_FLIGHT))
    assert share[STRUCTURED_LIGHT, BLANK] == 0.0 and share[STEREO, BLANK] > 0.1
    assert all(share[kind, 0.7] > 0.4 for kind in (STRUCTURED_LIGHT, STEREO, TIME_OF_FLIGHT))


def test_bands_of_the_image_have_no_returns() -> None:
    bands = (Band(True, 0.0, 0.25), Band(False, 0.5, 0.625))
    measured, _ = _degraded(_camera(STRUCTURED_LIGHT, bands=bands), torch.ones(1, 48, 64))
    expected = torch.zeros(1, 48, 64, dtype=torch.bool)
    expected[:, :12] = True
    expected[:, :, 32:40] = True
    assert torch.equal(measured.isnan(), expected)


def test_most_tabletops_are_seen_by_structured_light() -> None:
    kinds = [draw_camera(Random(seed), SceneConfig()).kind for seed in range(1000)]
    shares = np.bincount(kinds, minlength=3) / 1000
    assert shares[STRUCTURED_LIGHT] > 0.6
    assert shares[STEREO] > 0.1 and shares[TIME_OF_FLIGHT] > 0.1


def _camera(kind: int, **faults: object) -> Camera:
    """A faultless camera of a kind, but for these."""
    drawn = draw_camera(Random(0), SceneConfig(noise=False))
    return replace(drawn, kind=kind, **faults)  # type: ignore[arg-type]


def _degraded(camera: Camera, depth: torch.Tensor, hard: float = 0.0) -> tuple[torch.Tensor, ...]:
    """What a camera measures of a depth image (1,h,w) of a surface seen face on."""
    _, h, w = depth.shape
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(1, 4, h, w, generator=generator)
    draws[:, 0] = torch.randn(1, h, w, generator=generator)
    coarse = torch.randn(1, 2, 12, 16, generator=generator)
    config = SceneConfig(width=w, height=h)
    focal = torch.tensor([float(w)])
    every = torch.ones_like(depth)
    return degrade(depth, every, hard * every, [camera], focal, draws, coarse, config)


def _noise_of(kind: int, distance: float, hard: float = 0.0) -> torch.Tensor:
    camera = _camera(kind, axial_sigma=0.002, smear_px=40.0)
    measured, _ = _degraded(camera, torch.full((1, 48, 64), distance), hard)
    return measured - distance


def _correlation(noise: torch.Tensor) -> float:
    """Of neighbours in a row."""
    left, right = noise[..., :-1].flatten(), noise[..., 1:].flatten()
    return float(torch.corrcoef(torch.stack([left, right]))[0, 1])
