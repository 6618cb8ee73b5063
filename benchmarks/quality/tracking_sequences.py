"""Generated sequences with known motion: a camera that goes around a table, an object carried off.

All clouds of a sequence are views of one generated world, so an object has one label in all of
them. Masks with the errors that segmentation makes can be drawn from the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pointsam_model.scenes import SceneConfig
from pointsam_model.scenes.places.tabletop import set_tables
from pointsam_model.scenes.scene import labels
from pointsam_model.scenes.sensors.camera import poses
from pointsam_model.scenes.sensors.depth_images import see
from pointsam_model.scenes.streams import stream, streams
from pointsam_model.scenes.worlds.world import World

PERIOD_S = 0.2
LIFT_M = 0.2  # how high the carried object goes
POSE_ERROR = 0.003, 0.002  # standard deviation of what tf says of the camera [m], [rad]
LEAST_POINTS = 20  # of a mask


@dataclass(frozen=True)
class MovingCloud:
    """One cloud of a sequence.

    Attributes:
        xyz: (n, 3) float32 [m] in the camera's optical frame; NaN: nothing seen.
        rgb: (n, 3) uint8.
        label: (n,) int32, the same number for an object in all clouds; 0 background, -1 ignored.
        stamp_s: when it was seen [s].
        transform: (4, 4) from the cloud's frame into the world, as well as a robot knows it.
    """

    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    label: NDArray[np.int32]
    stamp_s: float
    transform: NDArray[np.float64]


@dataclass(frozen=True)
class Mask:
    """Rows of a cloud and their points, as a tracker reads an instance."""

    indices: NDArray[np.int64]
    points: NDArray[np.float32]


def moving_sequence(
    seed: int,
    clouds: int = 12,
    *,
    turn_deg: float = 30.0,
    carried_m: float = 0.4,
    config: SceneConfig | None = None,
) -> list[MovingCloud]:
    """A tabletop seen from a camera that goes around it, 5 clouds a second.

    Args:
        seed: of the table, its objects and the camera.
        clouds: how many.
        turn_deg: how far the camera goes around the table; 0: it stands still.
        carried_m: how far one object is carried aside, in an arc above the table; 0: none is.
        config: what the table looks like.
    """
    config = config or SceneConfig(objects=(4, 12), crop_to_table_share=0, crop_to_objects_share=0)
    tables = set_tables([seed], config)
    rng = stream("sequence", seed)
    nod = 0.1 if turn_deg else 0.0
    steps = np.linspace(0, 1, clouds)
    cameras = [
        replace(
            tables.cameras[0],
            azimuth=tables.cameras[0].azimuth + math.radians(turn_deg) * step,
            elevation=tables.cameras[0].elevation + nod * math.sin(2 * math.pi * step),
        )
        for step in steps
    ]
    rotation, position = poses(
        cameras, tables.target.expand(clouds, -1), tables.radius.expand(clouds), config
    )
    world = tables.world.repeated(clouds)
    if carried_m:
        world = _carried(world, steps, rng, carried_m)
    pixels = streams("pixels", [seed * 1000 + number for number in range(clouds)])
    view = see(world, cameras, rotation, position, pixels, config, torch.device("cpu"))
    instance, _ = labels(view)
    return [
        MovingCloud(
            view.xyz[number].reshape(-1, 3).numpy(),
            view.rgb[number].reshape(-1, 3).numpy(),
            instance[number].flatten().numpy(),
            number * PERIOD_S,
            _as_known(view.rotation[number], view.position[number], rng),
        )
        for number in range(clouds)
    ]


def true_masks(cloud: MovingCloud) -> Iterator[Mask]:
    """The masks of a cloud's objects as they are."""
    for number in np.unique(cloud.label[cloud.label > 0]):
        rows = np.flatnonzero(cloud.label == number)
        if len(rows) >= LEAST_POINTS:
            yield Mask(rows, cloud.xyz[rows])


def faulty_masks(cloud: MovingCloud, rng: Random) -> Iterator[Mask]:
    """Masks of a cloud's objects with the errors that segmentation makes.

    Of ten objects one is missed; others leak into what is near, lose a part, break in two, or go
    together with a neighbour; the edges are ragged, and now and then there is a mask of nothing.
    """
    seen = np.flatnonzero(np.isfinite(cloud.xyz).all(1))
    tree = cKDTree(cloud.xyz[seen])
    objects = [number for number in np.unique(cloud.label) if number > 0]
    rng.shuffle(objects)
    masks: list[NDArray[np.int64]] = []
    while objects:
        rows = np.flatnonzero(cloud.label == objects.pop())
        fault = rng.random()
        if fault < 0.1 or len(rows) < LEAST_POINTS:
            continue
        if fault < 0.14 and objects:
            rows = np.union1d(rows, np.flatnonzero(cloud.label == objects.pop()))
        elif fault < 0.24:
            rows = _leaked(cloud, rows, seen, tree, rng.uniform(0.005, 0.03))
        elif fault < 0.32:
            first, second = _cut(cloud, rows, rng, rng.uniform(0.5, 0.8))
            masks.append(second)
            rows = first
        elif fault < 0.44:
            rows, _ = _cut(cloud, rows, rng, rng.uniform(0.6, 0.9))
        masks.append(_ragged(rows, rng))
    if rng.random() < 0.3:
        masks.append(seen[tree.query_ball_point(cloud.xyz[rng.choice(seen)], 0.05)])
    rng.shuffle(masks)
    for rows in masks:
        if len(rows) >= LEAST_POINTS:
            yield Mask(np.sort(rows), cloud.xyz[np.sort(rows)])


def _carried(world: World, steps: NDArray[np.float64], rng: Random, far: float) -> World:
    """The world of each step with one object on its way: up, aside and down again."""
    solids = world.primitives
    objects = int(world.instance.max())
    which = world.instance == rng.randint(1, objects)
    aside = rng.uniform(0, 2 * math.pi)
    step = torch.from_numpy(steps).float()[world.scene]
    way = torch.stack(
        [
            far * math.cos(aside) * step,
            far * math.sin(aside) * step,
            LIFT_M * torch.sin(math.pi * step),
        ],
        1,
    )
    centre = solids.centre + torch.where(which[:, None], way, 0.0)
    return replace(world, primitives=replace(solids, centre=centre))


def _as_known(rotation: torch.Tensor, position: torch.Tensor, rng: Random) -> NDArray[np.float64]:
    """Camera to world (4, 4), slightly wrong."""
    meters, radians = POSE_ERROR
    x, y, z = (rng.gauss(0, radians) for _ in range(3))
    wrong = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) + np.eye(3)
    turn, _ = np.linalg.qr(wrong)
    turn *= np.sign(np.diag(turn))
    known = np.eye(4)
    known[:3, :3] = turn @ rotation.double().numpy().T
    known[:3, 3] = position.numpy() + [rng.gauss(0, meters) for _ in range(3)]
    return known


def _leaked(
    cloud: MovingCloud, rows: NDArray[np.int64], seen: NDArray[np.int64], tree: cKDTree, far: float
) -> NDArray[np.int64]:
    near = tree.query_ball_point(cloud.xyz[rows], far)
    return np.union1d(rows, seen[np.unique(np.concatenate(near)).astype(np.int64)])


def _cut(
    cloud: MovingCloud, rows: NDArray[np.int64], rng: Random, share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A mask in two along a plane; the first has this share of it."""
    normal = np.array([rng.gauss(0, 1) for _ in range(3)])
    along = cloud.xyz[rows] @ normal
    first = along <= np.quantile(along, share)
    return rows[first], rows[~first]


def _ragged(rows: NDArray[np.int64], rng: Random) -> NDArray[np.int64]:
    """Without one in twenty of the points."""
    keep = np.random.default_rng(rng.getrandbits(32)).random(len(rows)) > 0.05
    return rows[keep]
