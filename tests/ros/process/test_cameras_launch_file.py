"""The launch file of several cameras: its arguments, and the process it starts with them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from launch_files import (
    OF_OTHERS,
    REAL_LAUNCH,
    TRANSPORT_VARIABLES,
    Start,
    declared_arguments,
    loaded,
    overrides,
)
from places import ROOT

from pointsam_ros.segment_cameras import cameras_of

CAMERAS = "front=/front/points left=/left/points"


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return loaded(ROOT / "launch" / "segment_cameras.launch.py", monkeypatch)


@pytest.fixture
def start(launch_file: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """Runs the launch file with the given arguments; gives what the process was started with."""
    params_file = tmp_path / "params.yaml"
    params_file.write_text("/**:\n  ros__parameters: {}\n")

    def run(**given: str) -> SimpleNamespace:
        declared = declared_arguments(launch_file)
        defaults = {name: each.default for name, each in declared.items() if each.default}
        empty = dict.fromkeys(declared, "")
        arguments = {**empty, **defaults, "params_file": str(params_file), **given}
        context: Any = SimpleNamespace(launch_configurations={**OF_OTHERS, **arguments})
        if REAL_LAUNCH:
            context = launch_file.LaunchContext()
            context.launch_configurations.update({**OF_OTHERS, **arguments})
            assert launch_file.start(context)  # launch accepts what the classes are given
        with monkeypatch.context() as patched:
            patched.setattr(launch_file, "Node", SimpleNamespace)
            (process,) = launch_file.start(context)
        assert isinstance(process, SimpleNamespace)
        return process

    return run


def test_every_argument_is_described_and_only_the_cameras_are_required(
    launch_file: ModuleType,
) -> None:
    arguments = declared_arguments(launch_file)
    assert [name for name, each in arguments.items() if each.default is None] == ["cameras"]
    for name, each in arguments.items():
        assert len(each.description) > 20, f"{name} needs a description a person can use"
    shipped = Path(arguments["params_file"].default)
    assert shipped.resolve() == ROOT / "config" / "segment.yaml" and shipped.is_file()


def test_the_process_gets_the_cameras_and_no_name_that_all_its_nodes_would_have(
    start: Start,
) -> None:
    process = start(cameras=f"  {CAMERAS} ")
    assert (process.package, process.executable) == ("pointsam_ros", "segment_cameras")
    assert cameras_of(process.arguments) == {"front": "/front/points", "left": "/left/points"}
    assert not {"name", "remappings"} & set(vars(process)) and process.namespace is None
    assert start(cameras=CAMERAS, namespace="/robot").namespace == "/robot"


@pytest.mark.parametrize(
    ("cameras", "reason"),
    [
        ("", "no camera is given"),
        ("front", "'front' is not a camera"),
        ("front= /a", "'front=' is no"),
        ("front=/bad-topic", "cameras: '/bad-topic' is not a topic"),
    ],
)
def test_a_wrong_list_of_cameras_is_refused(start: Start, cameras: str, reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        start(cameras=cameras)


def test_arguments_override_the_parameter_file_where_they_are_given(
    start: Start, tmp_path: Path
) -> None:
    assert start(cameras=CAMERAS).parameters == [str(tmp_path / "params.yaml")]
    given = overrides(start(cameras=CAMERAS, preset="large", autostart="false", device="cuda:1"))
    assert set(given) == {"model.preset", "model.device", "autostart"}
    assert given["autostart"] is False
    with pytest.raises(RuntimeError, match="use_sim_time: 'maybe' is neither true nor false"):
        start(cameras=CAMERAS, use_sim_time="maybe")
    with pytest.raises(RuntimeError, match=r"there is no file '/nowhere/params.yaml'"):
        start(cameras=CAMERAS, params_file="/nowhere/params.yaml")


def test_it_starts_with_the_same_settings_as_one_camera(
    launch_file: ModuleType, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = loaded(ROOT / "launch" / "segment.launch.py", monkeypatch)
    for name in ("PARAMETERS", "LARGE_CLOUDS_PROFILE"):
        assert getattr(launch_file, name) == getattr(one, name)
    process = start(cameras=CAMERAS, log_level="debug")
    assert process.ros_arguments == ["--log-level", "debug"]
    profile = Path(process.additional_env["FASTRTPS_DEFAULT_PROFILES_FILE"])
    assert profile.resolve() == ROOT / "config" / "fastdds_large_clouds.xml"
    monkeypatch.setenv(TRANSPORT_VARIABLES[0], "/mine.xml")
    assert start(cameras=CAMERAS).additional_env == {}
