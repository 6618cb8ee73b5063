"""The examples, run as a user would, those with ROS against a node of their own domain."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import Vector3
from node_process import TINY, Client
from places import ROOT
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from pointsam_interfaces.msg import Instance, InstanceArray
from pointsam_model import Cloud, Predictor, Prompt, load_model
from pointsam_ros.clouds import cloud_msgs
from pointsam_ros.outputs.mask_msgs import quaternion

GRASP = importlib.import_module("examples.02_grasp")
NAVIGATION = importlib.import_module("examples.03_navigation")
with np.load(TINY / "raw_input.npz", allow_pickle=False) as raw:
    XYZ = raw["raw_xyz"].astype(np.float32)
    RGB = raw["raw_rgb"].astype(np.uint8)


def run(domain: int, example: str, *arguments: object) -> SimpleNamespace:
    """Runs an example to its end; gives exit status and printed lines."""
    done = subprocess.run(
        [sys.executable, f"examples/{example}.py", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "ROS_DOMAIN_ID": str(domain), "PYTHONPATH": f"{ROOT}:{_path()}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return SimpleNamespace(status=done.returncode, lines=done.stdout.splitlines())


def _path() -> str:
    return os.environ.get("PYTHONPATH", "")


def box(center: tuple, turn: Rotation, size: tuple) -> Instance:
    instance = Instance(id=1, box_size=Vector3(**dict(zip("xyz", size, strict=True))))
    position = instance.box_pose.position
    position.x, position.y, position.z = center
    instance.box_pose.orientation = quaternion(turn.as_matrix())
    return instance


def test_a_grasp_closes_over_the_shortest_side_and_comes_from_the_sensor() -> None:
    turn = Rotation.from_euler("xyz", [0.2, -0.3, 0.4])
    center = np.array([0.0, 0.0, 1.0])
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    size = np.array([0.2, 0.1, 0.05])
    points = turn.apply(corners * size) + center
    grasp = GRASP.grasp_of(box(tuple(center), turn, tuple(size)), points)
    assert grasp.width == pytest.approx(0.05)
    assert abs(grasp.closing @ turn.apply([0, 0, 1])) == pytest.approx(1.0)
    sides = turn.apply(np.eye(3))[:2]
    assert np.abs(sides @ grasp.approach).max() == pytest.approx(1.0)
    assert grasp.approach @ center > 0
    assert abs(grasp.approach @ center) == pytest.approx(np.abs(sides @ center).max())
    assert ((points - grasp.pregrasp) @ grasp.approach).min() == pytest.approx(GRASP.STANDOFF_M)


def loaded_by(example: str) -> set[str]:
    """The packages that an example needs."""
    code = f"import runpy, sys; runpy.run_path('examples/{example}.py', run_name='example')"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(*{{name.split('.')[0] for name in sys.modules}})"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES[1:])
def test_a_planners_machine_needs_neither_the_node_nor_torch(example: str) -> None:
    loaded = loaded_by(example)
    assert {"rclpy", "numpy", "pointsam_interfaces"} <= loaded
    assert not loaded & {"torch", "pointsam_model", "scipy"}


def test_arrays_need_no_ros() -> None:
    assert EXAMPLES[0] == "00_arrays"
    loaded = loaded_by("00_arrays")
    assert "torch" in loaded and not loaded & {"rclpy", "pointsam_ros", "pointsam_interfaces"}


def test_arrays_of_a_file_give_the_object_that_is_clicked(tmp_path: Path) -> None:
    np.savez(tmp_path / "cloud.npz", xyz=XYZ, rgb=RGB)
    model = ("--model", TINY / "config.json", "--weights", TINY / "weights.safetensors")
    predictor = Predictor(load_model(str(TINY / "config.json"), TINY / "weights.safetensors"))
    (answer,) = predictor.segment(predictor.embed(Cloud(XYZ, RGB)), [Prompt([XYZ[100]])])
    wanted = np.count_nonzero(answer.masks[0])
    done = run(0, "00_arrays", tmp_path / "cloud.npz", *model, "--on", *XYZ[100])
    assert done.status == 0 and done.lines[0].startswith(f"{wanted} of {len(XYZ)} points"), done
    done = run(0, "00_arrays", tmp_path / "nothing.npz", *model)
    assert done.status == 1 and "does not exist" in done.lines[0]


def test_arrays_of_a_generated_scene_are_segmented_without_a_file() -> None:
    done = run(0, "00_arrays", "--off", 0, 0, 1)
    assert done.status == 0 and "19200 points" in done.lines[0], done


@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f4", ">f8"])
def test_the_points_of_an_object_are_read_whatever_the_sensors_layout(kind: str) -> None:
    fields = {"names": ["ring", "z", "y", "x"], "formats": ["u1", kind, kind, kind]}
    point = np.dtype({**fields, "offsets": [0, 4, 12, 20], "itemsize": 32})
    points = np.zeros(len(XYZ), point)
    for column, axis in enumerate("xyz"):
        points[axis] = XYZ[:, column]
    datatype = PointField.FLOAT32 if kind.endswith("4") else PointField.FLOAT64
    msg = PointCloud2(header=Header(), height=1, width=len(XYZ), is_bigendian=kind.startswith(">"))
    msg.fields = [PointField(name="ring", offset=0, datatype=PointField.UINT8, count=1)]
    for axis, offset in zip("zyx", (4, 12, 20), strict=True):
        msg.fields.append(PointField(name=axis, offset=offset, datatype=datatype, count=1))
    msg.point_step, msg.row_step, msg.data = 32, 32 * len(XYZ), points.tobytes()
    rows = np.array([7, 3, 100])
    sent = cloud_msgs.with_rows(msg, rows)
    np.testing.assert_array_equal(GRASP.xyz_of(sent), XYZ[rows].astype(np.float64))


def test_obstacles_hold_their_objects_and_come_nearest_first() -> None:
    far, near = (
        box(center, Rotation.identity(), (0.6, 0.4, 0.2)) for center in ((5.0, 0, 0), (0, 2.0, 0))
    )
    both = NAVIGATION.obstacles_of(InstanceArray(instances=[far, near]), within_m=10.0)
    assert [each.center.tolist() for each in both] == [[0, 2, 0], [5, 0, 0]]
    assert both[0].radius == pytest.approx(np.linalg.norm([0.3, 0.2, 0.1]))
    assert len(NAVIGATION.obstacles_of(InstanceArray(instances=[far, near]), within_m=3.0)) == 1


@pytest.mark.dds
def test_the_service_gives_an_object_and_its_points(client: Client, domain: int) -> None:
    assert not client.set(clouds__stale_s=0.0)
    sent = client.send(client.cloud(XYZ, RGB))
    click = [float(value) for value in XYZ[100]]
    (instance,) = client.ask([click], header=sent.header).result.instances
    done = run(domain, "01_service", *click)
    assert done.status == 0, done.lines
    assert done.lines[0].startswith(f"{len(instance.indices)} points with x y z")
    assert f"score {instance.score:.2f}" in done.lines[0]
    done = run(domain, "01_service", 1e6, 1e6, 1e6)
    assert done.status == 1 and "TOO_FAR" in done.lines[0]


@pytest.mark.dds
def test_the_grasp_client_prints_a_grasp_of_what_it_points_at(client: Client, domain: int) -> None:
    assert not client.set(clouds__stale_s=0.0)  # processes start slowly on a busy machine
    sent = client.send(client.cloud(XYZ, RGB))
    click = [float(value) for value in XYZ[100]]
    response = client.ask([click], header=sent.header, return_points=True)
    (instance,) = response.result.instances
    done = run(domain, "02_grasp", "--opening", 100, "--", *click)
    assert done.status == 0, done.lines
    wanted = GRASP.grasp_of(instance, XYZ[instance.indices])
    assert done.lines[0].startswith(f"{len(instance.indices)} points, {wanted.width:.3f} m")
    printed = {name: numbers for name, *numbers in map(str.split, done.lines[1:])}
    for name in ("pregrasp", "approach", "closing"):
        np.testing.assert_allclose(
            [float(each) for each in printed[name]], getattr(wanted, name), atol=2e-3
        )
    done = run(domain, "02_grasp", "--opening", 0.0001, "--", *click)
    assert done.status == 1 and "too wide" in done.lines[0]
    done = run(domain, "02_grasp", 1e6, 1e6, 1e6)
    assert done.status == 1 and "no object" in done.lines[0]


@pytest.mark.dds
def test_the_navigation_client_prints_an_obstacle_for_each_proposal(
    client: Client, domain: int
) -> None:
    done = run(domain, "03_navigation")
    assert done.status == 1 and "no cloud has arrived yet" in done.lines[0]
    assert not client.set(
        clouds__stale_s=0.0,
        proposals__min_score=0.0,
        proposals__min_stability=0.0,
        proposals__max_share=1.0,
    )
    client.send(client.cloud(XYZ, RGB))
    _, result = client.outcome(client.propose())
    done = run(domain, "03_navigation")
    assert done.status == 0, done.lines
    wanted = NAVIGATION.obstacles_of(result.result, np.inf)
    assert len(wanted) > 0
    assert [int(line.split()[1]) for line in done.lines] == [each.id for each in wanted]
    assert all(
        f"radius {each.radius:.3f} m" in line for each, line in zip(wanted, done.lines, strict=True)
    )
