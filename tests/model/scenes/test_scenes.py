"""Generated scenes: right geometry, right labels, believable rest and noise, and reproducible."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pointsam_model.errors import ConfigError
from pointsam_model.scenes import Scene, SceneConfig, generate_scene, generate_scenes
from pointsam_model.scenes.places.tabletop import render
from pointsam_model.scenes.shapes.catalogue import TABLETOP
from pointsam_model.scenes.solids.casting import pixels_in_rectangles
from pointsam_model.scenes.solids.primitives import (
    BOX,
    CAPSULE,
    ELLIPSOID,
    FRUSTUM,
    SUPERQUADRIC,
    TORUS,
    Primitives,
    areas,
    depths,
    intersect,
    local_direction,
    local_normals,
    sample_surface,
)
from pointsam_model.scenes.solids.superquadric import packed
from pointsam_model.scenes.worlds.arrangement import Placed, arrange, draw_layout

Floats = NDArray[np.float64]
SMALL = SceneConfig(width=64, height=48)
KINDS = {
    "box": (BOX, (0.10, 0.06, 0.15, 0.0)),
    "cylinder": (FRUSTUM, (0.07, 0.07, 0.12, 3.0)),
    "cone": (FRUSTUM, (0.09, 0.001, 0.10, 3.0)),
    "cup": (FRUSTUM, (0.05, 0.08, 0.09, 1.0)),
    "open tube": (FRUSTUM, (0.06, 0.06, 0.1, 0.0)),
    "ellipsoid": (ELLIPSOID, (0.12, 0.07, 0.05, 1.0)),
    "bowl": (ELLIPSOID, (0.10, 0.10, 0.06, -0.1)),
    "capsule": (CAPSULE, (0.03, 0.09, 0.0, 0.0)),
    "rounded box": (SUPERQUADRIC, (0.10, 0.06, 0.12, packed(0.15, 0.2))),
    "cushion": (SUPERQUADRIC, (0.12, 0.09, 0.05, packed(1.0, 0.4))),
    "octahedron": (SUPERQUADRIC, (0.10, 0.09, 0.12, packed(2.0, 2.0))),
    "rounded disc": (SUPERQUADRIC, (0.10, 0.11, 0.04, packed(0.3, 1.0))),
    "ring": (TORUS, (0.10, 0.03, 0.0, np.pi)),
    "handle": (TORUS, (0.09, 0.03, 0.0, 2.2)),
}


@pytest.mark.parametrize("name", KINDS)
def test_rays_hit_where_dense_sampling_finds_the_surface(name: str) -> None:
    primitive = _posed(*KINDS[name])
    origin, direction = _rays(600)
    row = torch.zeros(600, dtype=torch.int64)
    t = intersect(primitive, row, torch.tensor(origin).float(), torch.tensor(direction).float())
    expected = _first_crossing(*KINDS[name], primitive, origin, direction)
    hit, wanted = torch.isfinite(t).numpy(), np.isfinite(expected)
    assert wanted.sum() > 100
    # A ray that only grazes passes between two samples.
    assert (hit != wanted).mean() < 0.02
    both = hit & wanted
    error = np.abs(t.numpy()[both] - expected[both])
    assert np.quantile(error, 0.99) < 1.5e-3
    assert hit[wanted].mean() > 0.99


@pytest.mark.parametrize("name", KINDS)
def test_normals_are_perpendicular_to_the_surface(name: str) -> None:
    primitive = _posed(*KINDS[name])
    origin, direction = (torch.tensor(x).float() for x in _rays(500))
    row = torch.zeros(500, dtype=torch.int64)
    t = intersect(primitive, row, origin, direction)
    nearby = direction + 1e-3 * torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    t_near = intersect(primitive, row, origin, nearby)
    both = torch.isfinite(t) & torch.isfinite(t_near)
    p, q = (origin + t[:, None] * direction)[both], (origin + t_near[:, None] * nearby)[both]
    own = row[both]
    local = local_direction(primitive, own, (p - primitive.centre[own]).t())
    step = local_direction(primitive, own, (q - p).t())
    normal = local_normals(primitive, own, local)
    assert torch.allclose(normal.norm(dim=0), torch.ones(len(own)), atol=1e-4)
    sine = (normal * step).sum(0).abs() / step.norm(dim=0).clamp_min(1e-9)
    # Neighbours across an edge are on another face.
    assert float((sine < 0.1).float().mean()) > 0.9


@pytest.mark.parametrize("name", KINDS)
def test_sampled_points_lie_on_the_surface(name: str) -> None:
    kind, size = KINDS[name]
    primitive = _posed(kind, size)
    uniform = torch.rand(500, 3, generator=torch.Generator().manual_seed(1))
    points = sample_surface(primitive, torch.zeros(500, dtype=torch.int64), uniform)
    # Frusta are sampled with both caps: an open one is closed by what stands in it.
    whole = (*size[:3], 3.0) if kind == FRUSTUM else size
    distance = _distance_to_surface(kind, whole, _local(primitive, points.double().numpy()))
    assert distance.max() < 1e-4


@pytest.mark.parametrize("name", KINDS)
def test_depth_inside_is_positive_in_solids_only(name: str) -> None:
    kind, size = KINDS[name]
    primitive = _posed(kind, size)
    generator = torch.Generator().manual_seed(4)
    points = primitive.centre + 0.3 * (torch.rand(4000, 3, generator=generator) - 0.5)
    row = torch.zeros(4000, dtype=torch.int64)
    inside = depths(primitive, row, points) > 0
    shell = (kind == FRUSTUM and size[3] != 3.0) or (kind == ELLIPSOID and size[3] < 1.0)
    wanted = _signed(kind, size, _local(primitive, points.double().numpy())) < 0
    assert inside.numpy().tolist() == (wanted & (not shell)).tolist()
    assert shell or wanted.sum() > 20


# Of the others the area is approximate, or that of the closed surface.
EXACT = [name for name in KINDS if name not in ("ellipsoid", "bowl", "cup", "open tube")]


@pytest.mark.parametrize("name", EXACT)
def test_area_is_what_random_lines_measure(name: str) -> None:
    """A line meets a surface in proportion to its area (Cauchy, Crofton)."""
    kind, size = KINDS[name]
    primitive = Primitives(
        torch.tensor([kind]), torch.tensor([size]), torch.eye(3)[None], torch.zeros(1, 3)
    )
    crossed = 0
    rays = 80_000
    generator = torch.Generator().manual_seed(2)
    # Random lines: a direction, and a point of the disc across it.
    forward = torch.nn.functional.normalize(torch.randn(rays, 3, generator=generator), dim=1)
    aside = torch.nn.functional.normalize(
        torch.linalg.cross(forward, torch.randn(rays, 3, generator=generator)), dim=1
    )
    origin = 0.3 * torch.rand(rays, 1, generator=generator).sqrt() * aside - forward
    row = torch.zeros(rays, dtype=torch.int64)
    for _ in range(4):
        t = intersect(primitive, row, origin, forward)
        crossed += int(torch.isfinite(t).sum())
        origin = origin + (t.nan_to_num(posinf=2.0)[:, None] + 1e-4) * forward
    # A line meets a surface of area A in A / (2 pi R^2) points on average.
    measured = crossed / rays * 2 * torch.pi * 0.3**2
    assert measured == pytest.approx(float(areas(primitive)), rel=0.03)


def test_rectangles_give_each_of_their_pixels_once() -> None:
    rectangles = torch.tensor([[0, 0, 3, 2], [5, 5, 5, 9], [1, 2, 2, 5], [4, 4, 2, 9]])
    found = [torch.stack(part, 1) for part in pixels_in_rectangles(rectangles, "cpu")]
    expected = [(0, u, v) for v in range(2) for u in range(3)] + [(2, 1, v) for v in (2, 3, 4)]
    assert [tuple(row) for row in torch.cat(found).tolist()] == expected


def test_a_scene_depends_on_its_seed_alone() -> None:
    together = generate_scenes([5, 900, 6, 2**40], SMALL)
    for scene, seed in zip(together, [5, 900, 6, 2**40], strict=True):
        alone = generate_scene(seed, SMALL)
        assert scene.seed == seed
        for name in ("xyz", "rgb", "instance", "part", "up"):
            np.testing.assert_array_equal(getattr(scene, name), getattr(alone, name), name)
    assert not np.array_equal(together[0].instance, together[2].instance)


def test_arrays_have_the_promised_shapes_and_types() -> None:
    for scene in generate_scenes(range(4), SMALL):
        n = 64 * 48
        assert (scene.height, scene.width) == (48, 64)
        assert scene.xyz.shape == (n, 3) and scene.xyz.dtype == np.float32
        assert scene.rgb.shape == (n, 3) and scene.rgb.dtype == np.uint8
        assert scene.instance.shape == (n,) and scene.instance.dtype == np.int32
        assert scene.part.shape == (n,) and scene.part.dtype == np.int32
        assert np.isclose(np.linalg.norm(scene.up), 1.0, atol=1e-5)
        nothing = np.isnan(scene.xyz)
        assert (nothing.any(1) == nothing.all(1)).all()
        assert (scene.instance[nothing[:, 0]] == -1).all()


def test_ids_are_without_gaps_and_a_part_belongs_to_one_object() -> None:
    for scene in generate_scenes(range(20, 32), SMALL):
        for labels in (scene.instance, scene.part):
            present = np.unique(labels[labels > 0])
            assert present.tolist() == list(range(1, len(present) + 1))
        assert ((scene.instance > 0) == (scene.part > 0)).all()
        assert ((scene.instance == -1) == (scene.part == -1)).all()
        pairs = np.unique(np.stack([scene.part, scene.instance], 1)[scene.part > 0], axis=0)
        assert len(pairs) == len(np.unique(pairs[:, 0]))


def test_points_of_an_instance_lie_on_its_own_primitives() -> None:
    config = SceneConfig(width=64, height=48, noise=False)
    view = render(range(6), config, torch.device("cpu"))
    labels = torch.where(view.row >= 0, view.instance[view.row.clamp_min(0)], -1)
    checked = 0
    for b in range(6):
        for instance in labels[b].unique().tolist():
            chosen = (labels[b] == instance) & torch.isfinite(view.xyz[b, ..., 2])
            if instance < 0 or not chosen.any():
                continue
            points = view.xyz[b][chosen].double().numpy()
            rows = ((view.scene == b) & (view.instance == instance)).nonzero().squeeze(1)
            nearest = np.full(len(points), np.inf)
            for row in rows:
                one = view.primitives.rows(row[None])
                size = tuple(one.size[0].tolist())
                distance = _distance_to_surface(int(one.kind), size, _local(one, points))
                nearest = np.minimum(nearest, distance)
            assert nearest.max() < 1e-3, (b, instance)
            checked += len(points)
    assert checked > 8000


def test_up_is_the_normal_of_the_table() -> None:
    config = SceneConfig(
        width=64, height=48, noise=False, crop_to_table_share=1.0, crop_to_objects_share=0.0
    )
    for scene in generate_scenes(range(4), config):
        table = scene.xyz[scene.instance == 0]
        height = table @ scene.up
        # Cropped above the floor; a few points are on the table's edge.
        assert np.quantile(height, 0.9) - np.quantile(height, 0.1) < 2e-3
        objects = scene.xyz[scene.instance > 0] @ scene.up
        assert objects.min() > np.median(height) - 2e-3


def test_objects_rest_on_the_table_or_on_each_other_without_going_through() -> None:
    config = SceneConfig()
    streams = [Random(seed) for seed in range(8)]
    layouts = [draw_layout(rng, config) for rng in streams]
    placed = arrange(layouts, [torch.Generator().manual_seed(k) for k in range(8)])
    floating, deep, points_seen, objects = 0, 0, 0, 0
    for scene in range(8):
        for instance in placed.instance[placed.scene == scene].unique().tolist():
            gap, below, inside, count = _rest_of(placed, scene, instance)
            assert below > -0.012
            objects += 1
            floating += gap > 0.006
            deep += inside
            points_seen += count
    wanted = sum(len(layout.objects) for layout in layouts)
    assert objects > 0.85 * wanted
    assert floating <= 0.05 * objects
    assert deep < 0.02 * points_seen


def test_many_scenes_are_crowded_and_every_shape_is_drawable() -> None:
    config = SceneConfig()
    counts = [len(draw_layout(Random(seed), config).objects) for seed in range(300)]
    assert min(counts) >= 1 and max(counts) <= 25
    assert np.mean(np.array(counts) >= 10) > 0.25
    for shape in TABLETOP:
        for seed in range(20):
            pieces = shape(Random(seed))
            reach = max(max(map(abs, piece.centre)) + max(piece.size[:3]) for piece in pieces)
            assert 0.01 < reach < 0.4, shape.__name__
            for piece in pieces:
                rotation = np.array(piece.rotation)
                np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
                assert np.linalg.det(rotation) > 0


def test_depth_noise_is_that_of_a_kinect() -> None:
    """The same seeds without noise show the same objects: what differs is the noise."""
    kinect = SceneConfig(
        width=96,
        height=72,
        warp_sigma=(0.0, 0.0),
        lateral_sigma_px=(0.0, 0.0),
        stereo_share=0.0,
        time_of_flight_share=0.0,
    )
    noisy = generate_scenes(range(8), kinect)
    clean = render(range(8), replace(kinect, noise=False), torch.device("cpu"))
    truth = clean.xyz[..., 2].reshape(8, -1).numpy()
    spread = []
    for scene, z in zip(noisy, truth, strict=True):
        error = (scene.xyz[:, 2] - z)[scene.instance > 0] / z[scene.instance > 0] ** 2
        error = error[np.isfinite(error)]
        if len(error) > 100:
            # Robust against the few pixels whose nearest surface changed.
            spread.append(1.4826 * np.median(np.abs(error)))
    assert len(spread) >= 6
    assert 0.0004 < np.median(spread) < 0.004
    assert max(spread) < 0.006


def test_most_points_survive_and_flying_ones_are_marked() -> None:
    scenes = generate_scenes(range(40, 52), SMALL)
    valid = np.array([np.isfinite(s.xyz[:, 2]).mean() for s in scenes])
    assert valid.mean() > 0.5 and valid.min() > 0.05
    structured = replace(SMALL, stereo_share=0.0, time_of_flight_share=0.0)
    flying = [_flying(s) for s in generate_scenes(range(8), replace(structured, flying_share=1.0))]
    still = [_flying(s) for s in generate_scenes(range(8), replace(structured, flying_share=0.0))]
    assert sum(flying) > 30
    assert sum(still) == 0


def test_shares_decide_what_scenes_look_like() -> None:
    gray = generate_scene(
        3, SceneConfig(width=64, height=48, gray_share=1.0, colour_noise=(0.0, 0.0))
    )
    assert int(np.ptp(gray.rgb.astype(int), axis=1).max()) <= 1
    one = replace(SMALL, objects=(1, 1), crowded_share=0.0, crate_share=0.0, shelf_share=0.0)
    assert all(scene.instance.max() <= 1 for scene in generate_scenes(range(6), one))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 4}, "width is 4"),
        ({"objects": (5, 2)}, r"objects is \(5, 2\)"),
        ({"objects": (-1, 2)}, r"objects is \(-1, 2\), must be 0 <= low <= high"),
        ({"roll": (float("nan"), 6.0)}, r"roll is \(nan, 6.0\)"),
        ({"gray_share": 1.5}, "gray_share is 1.5"),
        ({"distance": (2.0, 1.0)}, "distance"),
        ({"stereo_share": 0.6, "time_of_flight_share": 0.6}, "must not exceed 1"),
        ({"crate_share": 0.6, "shelf_share": 0.6}, "must not exceed 1"),
        ({"crop_to_table_share": 0.9, "crop_to_objects_share": 0.9}, "must not exceed 1"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SceneConfig(**values)  # type: ignore[arg-type]


def test_angles_below_zero_may_be_whole_numbers() -> None:
    assert SceneConfig(roll=(-6, 6)).roll == (-6, 6)


def test_a_negative_seed_is_refused_and_no_seed_gives_no_scene() -> None:
    with pytest.raises(ConfigError, match="-1"):
        generate_scenes([-1], SMALL)
    assert generate_scenes([], SMALL) == []


def _posed(kind: int, size: tuple[float, ...]) -> Primitives:
    """The primitive turned about an odd axis and moved."""
    rng = np.random.default_rng(7)
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return Primitives(
        torch.tensor([kind]),
        torch.tensor([size], dtype=torch.float32),
        torch.tensor(q[None], dtype=torch.float32),
        torch.tensor([[0.03, -0.02, 0.05]]),
    )


def _rays(count: int) -> tuple[Floats, Floats]:
    """From a sphere of 0.6 m toward the middle, scattered."""
    rng = np.random.default_rng(3)
    origin = rng.normal(size=(count, 3))
    origin *= 0.6 / np.linalg.norm(origin, axis=1, keepdims=True)
    direction = rng.normal(size=(count, 3)) * 0.07 - origin
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return origin, direction


def _local(primitive: Primitives, points: Floats) -> Floats:
    rotation = primitive.rotation[0].double().numpy()
    local: Floats = (points - primitive.centre[0].double().numpy()) @ rotation
    return local


def _signed(kind: int, size: tuple[float, ...], p: Floats) -> Floats:
    """Negative inside of the closed form, positive outside."""
    x, y, z = np.moveaxis(p, -1, 0)
    a, b, c = size[:3]
    if kind == BOX:
        return np.maximum(np.maximum(abs(x) - a, abs(y) - b), abs(z) - c)
    if kind == FRUSTUM:
        side = np.hypot(x, y) - (a + (b - a) * (z + c) / (2 * c))
        return np.maximum(side, abs(z) - c)
    if kind == ELLIPSOID:
        return (np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2) - 1) * min(a, b, c)
    if kind == SUPERQUADRIC:
        v, h = np.floor(size[3]) / 100, (size[3] % 1) * 4
        flat = abs(x / a) ** (2 / h) + abs(y / b) ** (2 / h)
        return ((flat ** (h / v) + abs(z / c) ** (2 / v)) ** (v / 2) - 1) * min(a, b, c)
    if kind == TORUS:
        around = (abs(np.arctan2(y, x)) - size[3]) * np.hypot(x, y)
        tube = np.hypot(np.hypot(x, y) - a, z) - b
        return np.maximum(tube, around) if size[3] < 3.1 else tube
    return np.sqrt(x**2 + y**2 + (z - np.clip(z, -b, b)) ** 2) - a


def _first_crossing(
    kind: int, size: tuple[float, ...], primitive: Primitives, origin: Floats, direction: Floats
) -> Floats:
    """Ray parameters of the first surface, walking along each ray in steps of half a millimetre."""
    t = np.arange(0.2, 1.0, 5e-4)
    points = origin[:, None] + direction[:, None] * t[:, None]
    p = _local(primitive, points.reshape(-1, 3)).reshape(points.shape)
    sign = _signed(kind, size, p) < 0
    crossing = sign[:, 1:] != sign[:, :-1]
    middle = 0.5 * (p[:, 1:] + p[:, :-1])
    z, c = middle[..., 2], size[2]
    if kind == FRUSTUM:
        # Which of its three surfaces was crossed; an absent cap does not count.
        slope = (size[1] - size[0]) / (2 * c)
        off_side = abs(np.hypot(middle[..., 0], middle[..., 1]) - size[0] - slope * (z + c))
        cap = abs(abs(z) - c) < off_side
        absent = (cap & (z < 0) & (size[3] not in (1.0, 3.0))) | (cap & (z > 0) & (size[3] < 2))
        crossing &= ~absent
    if kind == ELLIPSOID:
        crossing &= z <= size[3] * c
    first = crossing.argmax(1)
    return np.where(crossing.any(1), t[first] + 2.5e-4, np.inf)


def _distance_to_surface(kind: int, size: tuple[float, ...], p: Floats) -> Floats:
    """Distance (m,) [m] of points in the primitive's frame to its nearest face, to first order."""
    value = np.abs(_signed(kind, size, p))
    if kind == SUPERQUADRIC:
        steps = [
            _signed(kind, size, p + 1e-5 * axis) - _signed(kind, size, p - 1e-5 * axis)
            for axis in np.eye(3)
        ]
        return value / np.maximum(np.linalg.norm(steps, axis=0) / 2e-5, 1e-9)
    if kind == ELLIPSOID:
        # The implicit function's slope is not one.
        a = np.array(size[:3])
        level = np.sqrt(((p / a) ** 2).sum(-1))
        slope = np.linalg.norm(p / a**2, axis=-1) / level * min(size[:3])
        return value / np.maximum(slope, 1e-9)
    return value


def _rest_of(placed: Placed, scene: int, instance: int) -> tuple[float, float, int, int]:
    """Smallest gap under an object, its lowest point, its points deep in others, all its points."""
    own = ((placed.scene == scene) & (placed.instance == instance)).nonzero().squeeze(1)
    others = ((placed.scene == scene) & (placed.instance != instance)).nonzero().squeeze(1)
    uniform = torch.rand(len(own) * 250, 3, generator=torch.Generator().manual_seed(instance))
    points = sample_surface(placed.primitives, own.repeat_interleave(250), uniform)
    gap = points[:, 2].clone()
    deep = 0
    n = len(points)
    down = torch.tensor([0.0, 0.0, -1.0]).expand(n, 3)
    above = points + torch.tensor([0.0, 0.0, 0.004])
    for other in others:
        row = other.expand(n)
        gap = torch.minimum(gap, intersect(placed.primitives, row, above, down) - 0.004)
        kind, size = int(placed.primitives.kind[other]), placed.primitives.size[other].tolist()
        solid = kind in (BOX, CAPSULE) or (kind, size[3]) in ((FRUSTUM, 3.0), (ELLIPSOID, 1.0))
        if solid:
            local = _local(placed.primitives.rows(other[None]), points.double().numpy())
            deep += int((_signed(kind, tuple(size), local) < -0.012).sum())
    return float(gap.min()), float(points[:, 2].min()), deep, n


def _flying(scene: Scene) -> int:
    return int(((scene.instance == -1) & np.isfinite(scene.xyz[:, 2])).sum())
