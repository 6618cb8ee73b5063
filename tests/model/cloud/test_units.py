"""A cloud that is plainly in millimetres is answered, and somebody is told."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import places
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from forked_nodes import ForkedNode
from node_process import RANDOM_MODEL, Client
from std_msgs.msg import Header
from typer.testing import CliRunner

from pointsam_model import Cloud, CloudWarning, Predictor, Prompt, load_model
from pointsam_model.cli.app import app
from pointsam_model.data.readers import read_clouds
from pointsam_model.ops.layout import columns
from pointsam_model.scenes import SceneConfig, generate_scene
from pointsam_model.scenes.mixture import generate
from pointsam_ros.codes import Code

DATA = places.SHARED / "data"
CAMERAS = [
    *sorted(DATA.glob("tabletop/*.npz")),
    *sorted(DATA.glob("files/pcl_*kinect.pcd")),
    *sorted(DATA.glob("files/pcl_*stereo.pcd")),
]
OTHERS = [*sorted(DATA.glob("lidar/*.npz")), *sorted(DATA.glob("bags/*")), *DATA.glob("files/*")]
SCENE = generate_scene(3, SceneConfig(width=160, height=120))
MILLIMETRES = SCENE.xyz * np.float32(1000)
UTM = np.array([448_000.0, 5_400_000.0, 110.0])


@pytest.mark.parametrize("path", CAMERAS, ids=lambda path: path.stem)
def test_a_real_cameras_frame_in_millimetres_is_doubted_and_in_metres_it_is_not(path: Path) -> None:
    for source in read_clouds(path):
        for shift in (np.zeros(3), UTM):
            assert not Cloud(source.xyz + shift, width=source.width).doubt
        assert "millimetres" in Cloud(source.xyz.astype(float) * 1000, width=source.width).doubt


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_lidars_maps_and_surveys_are_never_doubted(path: Path) -> None:
    for source in read_clouds(path):
        width = columns(source.height, source.width)
        assert path in CAMERAS or not Cloud(source.xyz, width=width).doubt
        assert width is not None or not Cloud(source.xyz.astype(float) * 1000).doubt


@pytest.mark.parametrize("kind", ["tabletop", "room", "street"])
def test_generated_frames_in_metres_are_not_doubted(kind: str) -> None:
    for scene in generate(kind, range(8)):
        assert not Cloud(scene.xyz, width=scene.width).doubt, scene.seed


@pytest.mark.parametrize("shift", [(0, 0, 0), UTM], ids=["at home", "in UTM"])
def test_a_raster_of_heights_has_no_camera_and_is_not_doubted(shift: np.ndarray) -> None:
    x, y = np.meshgrid(np.arange(0.0, 640), np.arange(0.0, 480))
    hills = 300 + 40 * np.sin(x / 50) * np.cos(y / 70) + 10 * np.sin(x / 7)
    heights = np.stack([x, y, hills], 2).reshape(-1, 3)
    assert not Cloud(heights + shift, width=640).doubt


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(
        load_model(RANDOM_MODEL["model.preset"], RANDOM_MODEL["model.checkpoint"], device="cpu")
    )


def clicked() -> np.ndarray:
    return MILLIMETRES[np.flatnonzero(SCENE.instance == 1)[:1]]


def test_who_embeds_such_a_cloud_is_warned_with_the_remedy_and_answered(
    predictor: Predictor,
) -> None:
    with pytest.warns(CloudWarning, match=r"millimetres: half .* divide .* by 1000") as warned:
        embedding = predictor.embed(Cloud(MILLIMETRES, width=SCENE.width))
    assert warned[0].filename == __file__
    (answer,) = predictor.segment(embedding, [Prompt(clicked())])
    assert answer.masks[0].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictor.embed(Cloud(SCENE.xyz, width=SCENE.width))


def test_the_command_line_says_so_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cloud.npz"
    np.savez(path, xyz=MILLIMETRES, hw=np.array([SCENE.height, SCENE.width]))
    model = ["--model", RANDOM_MODEL["model.preset"]]
    model += ["--checkpoint", RANDOM_MODEL["model.checkpoint"]]
    click = ",".join(map(str, clicked()[0]))
    result = CliRunner().invoke(app, ["segment", str(path), "--click", click, *model])
    assert result.exit_code == 0, result.output
    (line,) = (each for each in result.stderr.splitlines() if "millimetres" in each)
    assert line.startswith("pointsam: the cloud is probably in millimetres")
    assert "CloudWarning" not in result.stderr


@pytest.mark.dds
def test_the_node_answers_says_so_once_in_its_log_and_warns_until_the_clouds_are_metres(
    start: Callable[..., tuple[ForkedNode, Client]],
) -> None:
    node, client = start()
    client.wait_until_ready()
    for _ in range(2):
        msg = client.send(client.cloud(MILLIMETRES, height=SCENE.height))
        response = client.ask(clicked(), header=Header(stamp=msg.header.stamp))
        assert response.code == Code.OK, response.message
    said = "the cloud is probably in millimetres"
    client.diagnostics(
        lambda status, _: status.level == DiagnosticStatus.WARN and said in status.message
    )
    assert node.log.count(said) == 1, node.log
    msg = client.send(client.cloud(SCENE.xyz, height=SCENE.height))
    assert client.ask(clicked() / 1000, header=Header(stamp=msg.header.stamp)).code == Code.OK
    client.diagnostics(lambda status, _: status.level == DiagnosticStatus.OK)
