"""The command `pointsam` works on files, and says in one line what is wrong with its arguments."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from places import TINY
from typer.testing import CliRunner

from pointsam_model.cli.app import app
from pointsam_model.data.readers import read_cloud
from pointsam_model.scenes import SceneConfig, generate_scene

RANDOM = ["--model", str(TINY / "config.json"), "--checkpoint", str(TINY / "weights.safetensors")]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled cloud of a few objects in a folder of its own."""
    made = generate_scene(8, SceneConfig(width=160, height=120))
    path = tmp_path_factory.mktemp("data") / "scene.npz"
    size = np.array([made.height, made.width])
    np.savez(path, xyz=made.xyz, rgb=made.rgb, label=made.instance, hw=size)
    return path


def ran(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def refusal(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 1, result.output
    return result.stderr


def test_evaluate_prints_a_table_and_writes_every_object(scene: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    output = ran("evaluate", str(scene.parent), *RANDOM, "--clicks", "3", "--json", str(report))
    assert "IoU@1" in output and "IoU@3" in output and "IoU@5" not in output
    written = json.loads(report.read_text())
    method = written["methods"]["config"]
    labels = np.load(scene)["label"]
    large = [label for label in np.unique(labels[labels > 0]) if (labels == label).sum() >= 50]
    assert [item["label"] for item in method["objects"]] == large
    assert all(len(item["ious"]) == 3 for item in method["objects"])
    assert written["about"]["color"] is True


def test_evaluate_without_colour_gives_other_masks(scene: Path, tmp_path: Path) -> None:
    reports = []
    for name, option in (("with", "--color"), ("without", "--no-color")):
        path = tmp_path / name
        ran("evaluate", str(scene), *RANDOM, "--clicks", "1", option, "--json", str(path))
        reports.append(json.loads(path.read_text())["methods"]["config"]["objects"])
    assert reports[0] != reports[1]


def test_segment_shows_up_to_three_masks_of_one_click_and_writes_them(
    scene: Path, tmp_path: Path
) -> None:
    cloud = np.load(scene)
    x, y, z = cloud["xyz"][np.flatnonzero(cloud["label"] == 2)[50]]
    png, npz = tmp_path / "a.png", tmp_path / "a.npz"
    click = f"{x},{y},{z}"
    ran("segment", str(scene), "--click", click, *RANDOM, "--png", str(png), "--npz", str(npz))
    masks, scores = np.load(npz)["masks"], np.load(npz)["scores"]
    assert len(masks) in (1, 2, 3) and masks.shape[1] == len(cloud["xyz"])
    assert len(scores) == len(masks) and (np.diff(scores) <= 0).all()
    assert not masks[:, ~np.isfinite(cloud["xyz"]).all(axis=1)].any()
    assert matplotlib.image.imread(png).shape[1] > 1000


@pytest.mark.parametrize("given", ["masks", "masks.v2", "new/masks", "masks.npz", "masks[1]"])
def test_segment_says_the_name_of_the_file_that_it_has_written(
    scene: Path, tmp_path: Path, given: str
) -> None:
    x, y, z = np.load(scene)["xyz"][np.load(scene)["label"] == 2][50]
    npz, png = tmp_path / given, tmp_path / "picture"
    click = ["--click", f"{x},{y},{z}"]
    said = ran("segment", str(scene), *click, *RANDOM, "--npz", str(npz), "--png", str(png))
    told = {
        each.split(": ")[0]: Path(each.split(": ")[1]) for each in said.splitlines() if ": " in each
    }
    assert told["picture"] == png and png.is_file()
    assert told["masks"].name == Path(given).name.removesuffix(".npz") + ".npz"
    assert np.load(told["masks"])["masks"].shape[1] == len(np.load(scene)["xyz"])


def test_segment_takes_clicks_off_the_object(scene: Path, tmp_path: Path) -> None:
    xyz = np.load(scene)["xyz"]
    on, off = xyz[np.isfinite(xyz).all(axis=1)][[4000, 9000]]
    npz = tmp_path / "a.npz"
    clicks = ["--click", ",".join(map(str, on)), "--off", ",".join(map(str, off))]
    ran("segment", str(scene), *clicks, *RANDOM, "--npz", str(npz))
    assert len(np.load(npz)["masks"]) == 1, "several clicks give one mask"


def test_segment_takes_a_box_about_the_object(scene: Path, tmp_path: Path) -> None:
    cloud, npz, png = np.load(scene), tmp_path / "a.npz", tmp_path / "a.png"
    points = cloud["xyz"][cloud["label"] == 2]
    corners = ",".join(map(str, [*points.min(0), *points.max(0)]))
    ran("segment", str(scene), "--box", corners, *RANDOM, "--npz", str(npz), "--png", str(png))
    assert np.load(npz)["masks"].shape == (1, len(cloud["xyz"]))
    assert png.exists()
    clicked = ["--off", ",".join(map(str, cloud["xyz"][cloud["label"] == 0][99]))]
    ran("segment", str(scene), "--box", corners, *clicked, *RANDOM)


def test_segment_takes_a_mask_of_the_image_in_each_form(scene: Path, tmp_path: Path) -> None:
    cloud, npz = np.load(scene), tmp_path / "a.npz"
    truth = cloud["label"] == 2
    image = truth.reshape(cloud["hw"])
    matplotlib.image.imsave(tmp_path / "white.png", image, cmap="gray")
    matplotlib.image.imsave(tmp_path / "ones.png", np.repeat(image[..., None], 3, 2) / 255)
    np.save(tmp_path / "rows.npy", image)
    np.save(tmp_path / "flat.npy", truth)
    np.save(tmp_path / "whole.npy", image.astype(np.uint8) * 255)
    np.save(tmp_path / "likely.npy", np.where(image, 0.9, 0.2))
    answers = []
    for name in ("white.png", "ones.png", "rows.npy", "flat.npy", "whole.npy", "likely.npy"):
        ran("segment", str(scene), "--mask", str(tmp_path / name), *RANDOM, "--npz", str(npz))
        answers.append(np.load(npz)["masks"])
        assert np.array_equal(answers[-1], answers[0]), name


def test_without_any_prompt_segment_says_what_to_give(scene: Path) -> None:
    said = refusal("segment", str(scene), "--off", "0,0,1", *RANDOM)
    assert "give --click, --box or --mask" in said


def test_a_box_that_is_none_is_refused(scene: Path) -> None:
    assert "'1,2,3' is not a box; give x,y,z,x,y,z" in refusal(
        "segment", str(scene), "--box", "1,2,3"
    )
    said = refusal("segment", str(scene), "--box", "0,0,1,1,1,1", *RANDOM)
    assert "each side must be above 0 m" in said
    said = refusal("segment", str(scene), "--box", "8,8,8,9,9,9", *RANDOM)
    assert "the box holds no point of the cloud; the nearest is" in said


def test_a_mask_of_no_or_another_image_is_refused(scene: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat.npz"
    np.savez(flat, xyz=np.load(scene)["xyz"])
    files = {
        "other.npy": np.ones((5, 6), bool),
        "turned.npy": np.ones((160, 120), bool),
        "rows.npy": np.ones((120, 160), bool),
        "words.npy": np.array(["a"]),
        "nothing.npy": np.zeros((120, 160), bool),
    }
    for name, array in files.items():
        np.save(tmp_path / name, array)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for cloud, name, reason in (
        (scene, "other.npy", "has the shape (5, 6); scene has 120 rows of 160 points"),
        (scene, "turned.npy", "rows and columns are swapped"),
        (
            flat,
            "rows.npy",
            "flat is not organised in rows and columns; its mask is a .npy of shape (19200,)",
        ),
        (scene, "words.npy", "holds no array of numbers"),
        (scene, "nothing.npy", "the mask holds no valid point"),
        (scene, "broken.png", "cannot read"),
        (scene, "missing.png", "cannot read"),
        (scene, "mask.jpg", ".jpg is not supported; a mask is a .png"),
    ):
        said = refusal("segment", str(cloud), "--mask", str(tmp_path / name), *RANDOM)
        assert reason in said, said


def test_a_click_that_is_no_point_is_refused(scene: Path) -> None:
    assert "'1,2' is not a point" in refusal("segment", str(scene), "--click", "1,2", *RANDOM)


def test_a_click_far_from_the_cloud_is_refused_with_the_distance(scene: Path) -> None:
    said = refusal("segment", str(scene), "--click", "9,9,9", *RANDOM)
    assert "from the nearest point" in said


def test_a_missing_file_and_an_unknown_model_are_refused(scene: Path) -> None:
    assert "does not exist" in refusal("segment", "nothing.pcd", "--click", "0,0,1")
    said = refusal("segment", str(scene), "--click", "0,0,1", "--model", "huge")
    assert "unknown model 'huge'" in said


def test_scenes_draws_a_sheet(tmp_path: Path) -> None:
    ran("scenes", "--png", str(tmp_path / "sheet.png"), "--count", "2", "--seed", "3")
    assert matplotlib.image.imread(tmp_path / "sheet.png").shape[1] > 1000


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("segment", ("'xyz' float (n,3) [m]", "'hw' [rows, columns]", "x,y,z in metres")),
        ("evaluate", ("'xyz' float (n,3) [m]", "'label' integer (n,)", "[rows, columns]")),
        ("train", ("'xyz' float (n,3) [m]", "'label' integer (n,)", "[rows, columns]")),
    ],
)
def test_help_says_which_arrays_a_file_needs_with_their_units(
    command: str, told: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")  # typer breaks no line then
    text = CliRunner(env={"TERMINAL_WIDTH": "1000"}).invoke(app, [command, "--help"]).output
    for each in told:
        assert each in " ".join(text.split()), text


@pytest.mark.parametrize("suffix", [".npz", ".ply", ".pcd"])
def test_propose_tells_each_instance_and_writes_them_with_the_cloud(
    scene: Path, tmp_path: Path, suffix: str
) -> None:
    written, png = tmp_path / f"found{suffix}", tmp_path / "found.png"
    output = ran(
        "propose", str(scene), *RANDOM, "--min-score", "0", "--max-instances", "3",
        "--output", str(written), "--png", str(png),
    )  # fmt: skip
    assert "instance" in output and "centre [m]" in output and str(written) in output
    again, before = read_cloud(written), read_cloud(scene)
    np.testing.assert_array_equal(again.xyz, before.xyz)
    np.testing.assert_array_equal(again.rgb, before.rgb)
    assert matplotlib.image.imread(png).shape[2] == 4


def test_segment_writes_the_cloud_with_its_best_mask(scene: Path, tmp_path: Path) -> None:
    point = read_cloud(scene).xyz[np.flatnonzero(np.load(scene)["label"] == 1)[5]]
    click = ",".join(str(value) for value in point)
    written = tmp_path / "found.npz"
    ran("segment", str(scene), *RANDOM, "--click", click, "--output", str(written), "--no-color")
    with np.load(written) as arrays:
        assert set(np.unique(arrays["instance_id"])) == {0, 1}
        np.testing.assert_array_equal(arrays["masks"][0], arrays["instance_id"] == 1)


@pytest.mark.parametrize("command", [["propose"], ["segment", "--click", "0,0,1"]])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, command: list[str]
) -> None:
    name, *options = command
    said = refusal(name, "missing.npz", *RANDOM, *options, "--output", str(tmp_path / "a.las"))
    assert ".las is not written; give .npz, .ply or .pcd" in said
