"""Rooms: views that show things, scans around one thing, rows of books that fit their boards."""

from __future__ import annotations

import dataclasses
import math
from random import Random

import numpy as np
import pytest
import torch

from pointsam_model.errors import ConfigError
from pointsam_model.scenes import MixtureConfig, RoomConfig, SceneConfig, generate
from pointsam_model.scenes.inhabitants.furniture import Board
from pointsam_model.scenes.places.room_plan import draw_plan, row_on
from pointsam_model.scenes.places.room_views import close_pose, good_pose, pose
from pointsam_model.scenes.sensors.camera import draw_camera, focal_lengths, pixel_rays
from pointsam_model.scenes.sensors.depth_images import see
from pointsam_model.scenes.solids.primitives import intersect
from pointsam_model.scenes.worlds.appearance import draw_light
from pointsam_model.scenes.worlds.world import Thing, bounds, build_world, dress

CPU = torch.device("cpu")
CAMERA = SceneConfig(width=64, height=48, noise=False, horizontal_fov=(70.0, 80.0))


def test_every_pixel_sees_the_nearest_of_all_primitives_of_a_room() -> None:
    for seed in (3, 8):
        plan = draw_plan(Random(seed))
        things = [dataclasses.replace(thing, surfaces={}) for thing in plan.things]
        looks = dress(Random(1), things, CAMERA)
        world = build_world(things, looks, draw_light(Random(1), CAMERA))
        camera = draw_camera(Random(2), CAMERA)
        rotation, position = good_pose(plan, Random(seed), camera, low=False)
        view = see(world, [camera], rotation[None], position[None], [Random(0)], CAMERA, CPU)
        rays = pixel_rays(focal_lengths([camera], CAMERA, CPU), CAMERA)[0]
        directions = (rays.flatten(1).t() @ rotation).contiguous()
        nearest = torch.full((len(directions),), torch.inf)
        for row in range(len(world.primitives)):
            rows = torch.full((len(directions),), row)
            origins = position.expand(len(directions), 3)
            nearest = torch.minimum(nearest, intersect(world.primitives, rows, origins, directions))
        depth = view.xyz[0, ..., 2].flatten()
        both = torch.isfinite(depth) & torch.isfinite(nearest)
        assert float(both.float().mean()) > 0.95
        assert float(((depth - nearest).abs()[both] < 2e-3).float().mean()) > 0.999


def test_chosen_views_show_more_things_than_any_view() -> None:
    camera = draw_camera(Random(0), CAMERA)
    chosen = any_ = 0
    for seed in range(25):
        plan = draw_plan(Random(seed))
        for rng, taken in ((Random(seed), True), (Random(seed), False)):
            look = good_pose if taken else pose
            rotation, position = look(plan, rng, camera, False)
            things = [thing.position for thing in plan.things if not thing.background]
            away = (torch.tensor(things) - position) @ rotation.t()
            seen = (away[:, 2] > 0.7) & (away[:, 0].abs() < 0.7 * away[:, 2])
            chosen += int(seen.sum()) * taken
            any_ += int(seen.sum()) * (not taken)
    assert chosen > 1.15 * any_


def test_close_views_are_close_to_what_they_look_at_and_see_it() -> None:
    camera = draw_camera(Random(0), CAMERA)
    distances = []
    for seed in range(40):
        plan = draw_plan(Random(seed))
        target = plan.interest(Random(seed), (math.inf, 0.0))
        rotation, position = close_pose(plan, Random(seed), camera, target)
        x, y, z = (rotation @ (torch.tensor(target) - position)).tolist()
        assert z > 0 and abs(x) < z and abs(y) < z
        distances.append(math.hypot(*(target[k] - float(position[k]) for k in (0, 1))))
    assert np.mean((np.array(distances) > 0.5) & (np.array(distances) < 2.3)) > 0.85


def test_scans_around_a_thing_are_fine_and_know_no_viewpoint() -> None:
    room = RoomConfig(lidar_share=0.0, fused_share=1.0, around_share=1.0)
    spacings = []
    for scene in generate("room", range(6), MixtureConfig(room=room)):
        assert scene.height == 1 and scene.viewpoint is None
        assert np.isfinite(scene.xyz).all()
        some = scene.xyz[np.random.default_rng(0).choice(len(scene.xyz), 200, replace=False)]
        away = np.linalg.norm(some[:, None] - scene.xyz[None], axis=-1)
        spacings.append(float(np.median(np.partition(away, 1, axis=1)[:, 1])))
    assert np.median(spacings) < 0.03


def test_rows_of_books_stand_between_the_ends_of_their_board() -> None:
    board = Board((-0.15, -0.4), (0.15, 0.4), 0.8, 0.35)
    shelf = Thing([], (1.0, 2.0, 0.0), 0.7)
    books = 0
    for seed in range(20):
        row = row_on(Random(seed), shelf, board)
        last = -0.4
        for thing, (low, high) in zip(row, bounds([t.pieces for t in row]), strict=True):
            x, y = thing.position[0] - 1.0, thing.position[1] - 2.0
            along = -x * math.sin(0.7) + y * math.cos(0.7)
            across = x * math.cos(0.7) + y * math.sin(0.7)
            assert along + low[1] >= last - 1e-6
            last = along + high[1]
            assert across + high[0] <= 0.15 and across + low[0] >= -0.15
            assert thing.position[2] + low[2] == pytest.approx(0.8)
            assert thing.position[2] + high[2] < 0.8 + 0.35
        assert last <= 0.4
        books += len(row)
    assert books > 60


def test_an_empty_room_is_floor_walls_and_ceiling() -> None:
    plan = draw_plan(Random(4), furnished=False)
    assert plan.things and all(thing.background for thing in plan.things)


def test_impossible_shares_of_rooms_are_refused() -> None:
    with pytest.raises(ConfigError, match="around_share"):
        RoomConfig(around_share=1.2)
    with pytest.raises(ConfigError, match="close_share"):
        RoomConfig(close_share=-0.2)
