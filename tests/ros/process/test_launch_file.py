"""The launch file: its arguments, and the node it starts with them.

Where `launch` and `launch_ros` are installed the file runs against them; elsewhere against
stand-ins that keep what they are given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from ament_index_python.packages import PackageNotFoundError
from launch_files import (
    OF_OTHERS,
    REAL_LAUNCH,
    SETTINGS,
    TRANSPORT_VARIABLES,
    Start,
    declared_arguments,
    loaded,
    overrides,
)
from places import ROOT

LAUNCH_FILE = ROOT / "launch" / "segment.launch.py"

StartAll = Callable[..., list[SimpleNamespace]]


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return loaded(LAUNCH_FILE, monkeypatch)


@pytest.fixture
def start_all(launch_file: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StartAll:
    """Runs the launch file with the given arguments; gives what each process was started with."""
    params_file = tmp_path / "params.yaml"
    params_file.write_text("/**:\n  ros__parameters: {}\n")
    monkeypatch.setattr(launch_file, "check_installed", lambda *_: None)

    def run(**given: str) -> list[SimpleNamespace]:
        defaults = {
            name: each.default
            for name, each in declared_arguments(launch_file).items()
            if each.default is not None
        }
        arguments = {**defaults, "cloud_topic": "/points", "params_file": str(params_file), **given}
        if REAL_LAUNCH:
            context = launch_file.LaunchContext()
            context.launch_configurations.update({**OF_OTHERS, **arguments})
            assert launch_file.start(context)  # launch accepts what the classes are given
        else:
            context = SimpleNamespace(launch_configurations={**OF_OTHERS, **arguments})
        with monkeypatch.context() as patched:
            for name in ("Node", "ExecuteProcess", "OnProcessIO", "TimerAction"):
                patched.setattr(launch_file, name, SimpleNamespace)
            patched.setattr(launch_file, "RegisterEventHandler", lambda handler: handler)
            return list(launch_file.start(context))

    return run


@pytest.fixture
def start(start_all: StartAll) -> Start:
    """As `start_all`, where nothing but the node is started."""

    def run(**given: str) -> SimpleNamespace:
        (node,) = start_all(**given)
        return node

    return run


def test_every_argument_is_described(launch_file: ModuleType) -> None:
    arguments = declared_arguments(launch_file)
    assert set(arguments) == {
        "cloud_topic",
        "params_file",
        "checkpoint",
        "preset",
        "device",
        "namespace",
        "autostart",
        "use_sim_time",
        "log_level",
        "rviz",
        "fixed_frame",
        "bag",
    }
    for name, each in arguments.items():
        assert len(each.description) > 20, f"{name} needs a description a person can use"


def test_only_the_cloud_topic_is_required(launch_file: ModuleType) -> None:
    arguments = declared_arguments(launch_file)
    assert [name for name, each in arguments.items() if each.default is None] == ["cloud_topic"]


def test_default_parameter_file_is_the_shipped_one(launch_file: ModuleType) -> None:
    default = Path(declared_arguments(launch_file)["params_file"].default)
    assert default.resolve() == ROOT / "config" / "segment.yaml"
    assert default.is_file()


def test_node_listens_to_the_cloud_topic(start: Start) -> None:
    node = start(cloud_topic="/camera/depth/points")
    assert (node.package, node.executable, node.name) == (
        "pointsam_ros",
        "segment_node",
        "pointsam",
    )
    assert node.remappings == [("~/points", "/camera/depth/points")]


def test_empty_arguments_leave_the_parameter_file_alone(start: Start, tmp_path: Path) -> None:
    node = start()
    assert node.parameters == [str(tmp_path / "params.yaml")]
    assert node.namespace is None


def test_given_arguments_override_the_parameter_file(start: Start) -> None:
    node = start(
        preset="large",
        checkpoint="model.safetensors",
        device="cuda:1",
        autostart="false",
        use_sim_time="True",
        namespace="/robot1",
    )
    given = overrides(node)
    assert set(given) == {
        "model.preset",
        "model.checkpoint",
        "model.device",
        "autostart",
        "use_sim_time",
    }
    assert given["autostart"] is False
    assert given["use_sim_time"] is True
    assert node.namespace == "/robot1"


def test_text_that_looks_like_a_number_stays_text(start: Start) -> None:
    checkpoint = overrides(start(checkpoint="2024"))["model.checkpoint"]
    assert isinstance(checkpoint, sys.modules[SETTINGS].ParameterValue)
    assert checkpoint.value_type is str


@pytest.mark.usefixtures("launch_file")
def test_overridden_parameters_are_parameters_of_the_node() -> None:
    settings = sys.modules[SETTINGS]
    names = {*settings.TEXT_PARAMETERS.values(), *settings.SWITCH_PARAMETERS.values()}
    names.remove("use_sim_time")  # every ROS node declares it by itself
    parameters = yaml.safe_load((ROOT / "config" / "segment.yaml").read_text())
    assert list(parameters) == ["/**"], "a namespaced node would not find its parameters"
    assert names <= set(dotted(parameters["/**"]["ros__parameters"]))


def dotted(tree: dict[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, value in tree.items():
        names += dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return names


@pytest.mark.parametrize("name", ["autostart", "use_sim_time", "rviz"])
def test_switch_that_is_neither_true_nor_false_is_refused(start: Start, name: str) -> None:
    with pytest.raises(RuntimeError, match=f"{name}: 'maybe' is neither true nor false"):
        start(**{name: "maybe"})


def test_missing_parameter_file_is_refused_by_name(start: Start) -> None:
    with pytest.raises(RuntimeError, match=r"there is no file '/nowhere/params.yaml'"):
        start(params_file="/nowhere/params.yaml")


def test_a_parameter_file_may_be_in_the_home_folder(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert start(params_file="~/params.yaml").parameters == [str(tmp_path / "params.yaml")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("/**:\n  ros__parameters:\n    embed:\n      mode:\n", "'mode' has no value, in line 4"),
        ("/**:\n  ros__parameters:\n", "'ros__parameters' has no value, in line 2"),
        ("/**: [\n", r"cannot read .*mine\.yaml"),
        ("", "does not name any node; it begins with"),
        ("- a\n", "does not name any node"),
    ],
)
def test_what_ros_would_refuse_of_a_parameter_file_is_told_with_its_place(
    start: Start, tmp_path: Path, content: str, reason: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    with pytest.raises(RuntimeError, match=reason):
        start(params_file=str(file))


def test_a_list_without_a_value_as_ros_dumps_it_is_taken(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("/pointsam:\n  ros__parameters:\n    reduction:\n      crop_min_m: null\n")
    assert start(params_file=str(file)).parameters == [str(file)]


@pytest.mark.parametrize("topic", ["/bad topic", "/2d/points", "points/", "", "//a", "/a-b"])
def test_a_topic_that_ros_does_not_take_is_refused(start: Start, topic: str) -> None:
    with pytest.raises(RuntimeError, match=f"cloud_topic: '{topic.strip()}' is not a topic"):
        start(cloud_topic=topic)


@pytest.mark.parametrize("topic", ["/camera/depth/points", "points", "~/points", "a/b_2/C"])
def test_a_topic_that_ros_takes_is_taken(start: Start, topic: str) -> None:
    assert start(cloud_topic=topic).remappings == [("~/points", topic)]


def test_a_log_level_that_is_none_is_refused(start: Start) -> None:
    with pytest.raises(RuntimeError, match="log_level: 'bogus' is not one of debug, info, warn"):
        start(log_level="bogus")


def test_log_level_reaches_the_node(start: Start) -> None:
    assert start(log_level="debug").ros_arguments == ["--log-level", "debug"]


def test_node_gets_the_large_cloud_profile(start: Start) -> None:
    profile = Path(start().additional_env["FASTRTPS_DEFAULT_PROFILES_FILE"])
    assert profile.resolve() == ROOT / "config" / "fastdds_large_clouds.xml"
    assert profile.is_file()


@pytest.mark.parametrize("variable", TRANSPORT_VARIABLES)
def test_profile_chosen_by_the_user_is_kept(
    start: Start, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "/mine.xml")
    assert start().additional_env == {}


# RViz.


def rviz_file() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config" / "segment.rviz").read_text())["Visualization Manager"]


def rviz_topics() -> set[str]:
    manager = rviz_file()
    return {
        each["Topic"]["Value"] for each in manager["Displays"] + manager["Tools"] if "Topic" in each
    }


def test_rviz_opens_with_the_shipped_file_on_the_cloud_topic(start_all: StartAll) -> None:
    _, rviz = start_all(rviz="true", cloud_topic="/camera/points", fixed_frame="camera")
    assert (rviz.package, rviz.executable) == ("rviz2", "rviz2")
    flag, path, *frame = rviz.arguments
    assert flag == "-d" and Path(path).resolve() == ROOT / "config" / "segment.rviz"
    assert frame == ["-f", "camera"]
    assert rviz.remappings == [("/pointsam/points", "/camera/points")]
    assert rviz.parameters == [{"use_sim_time": False}]


def test_rviz_of_a_node_in_a_namespace_uses_that_nodes_topics(start_all: StartAll) -> None:
    _, rviz = start_all(rviz="true", namespace="/robot1")
    remapped = dict(rviz.remappings)
    for topic in rviz_topics() - {"/pointsam/points", "/clicked_point"}:
        assert remapped[topic] == f"/robot1{topic}"


@pytest.mark.parametrize(
    ("pushed", "own", "whole"),
    [
        ("", "", ""),
        ("", "robot1", "/robot1"),
        ("/fleet", "robot1", "/fleet/robot1"),
        ("/fleet", "/robot1", "/robot1"),
        ("/fleet", "", "/fleet"),
    ],
)
def test_rviz_finds_relative_clouds_where_the_node_does(
    start_all: StartAll, monkeypatch: pytest.MonkeyPatch, pushed: str, own: str, whole: str
) -> None:
    monkeypatch.setitem(OF_OTHERS, "ros_namespace", pushed)
    _, rviz = start_all(rviz="true", namespace=own, cloud_topic="depth/points")
    remapped = dict(rviz.remappings)
    assert remapped["/pointsam/points"] == f"{whole}/depth/points"
    if whole:
        assert remapped["/pointsam/markers"] == f"{whole}/pointsam/markers"


def test_the_rviz_file_shows_the_answers_and_has_a_tool_for_each_kind_of_click() -> None:
    manager = rviz_file()
    shown = {each["Topic"]["Value"]: each for each in manager["Displays"]}
    assert shown["/pointsam/segmented_points"]["Class"] == "rviz_default_plugins/PointCloud2"
    assert shown["/pointsam/segmented_points"]["Channel Name"] == "instance_id"
    assert shown["/pointsam/markers"]["Class"] == "rviz_default_plugins/MarkerArray"
    tools = [
        each for each in manager["Tools"] if each["Class"] == "rviz_default_plugins/PublishPoint"
    ]
    assert [tool["Topic"]["Value"] for tool in tools] == [
        "/clicked_point",
        "/pointsam/clicked_negative",
    ]


# Bags.


def test_a_bag_is_played_with_its_clock_and_the_node_follows_it(
    start_all: StartAll, tmp_path: Path
) -> None:
    node, rviz, ready = start_all(bag=str(tmp_path), rviz="true")
    assert ready.target_action is node
    (bag,) = ready.on_stderr(
        SimpleNamespace(text=b"[INFO] [pointsam]: ready: clouds from /points\n")
    )
    assert bag.cmd == ["ros2", "bag", "play", str(tmp_path), "--clock"]
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in bag.additional_env, "its large clouds would be lost"
    assert overrides(node)["use_sim_time"] is True
    assert rviz.parameters == [{"use_sim_time": True}]
    node, _ = start_all(bag=str(tmp_path), use_sim_time="false")
    assert overrides(node)["use_sim_time"] is False


def test_a_bag_begins_once_when_the_node_is_ready(start_all: StartAll, tmp_path: Path) -> None:
    _, ready = start_all(bag=str(tmp_path))
    for text in (b"[INFO] loading\n", b"[INFO] [pointsam]: rea"):
        assert ready.on_stdout(SimpleNamespace(text=text)) is None
    assert ready.on_stdout(SimpleNamespace(text=b"dy: clouds from /points\n"))
    assert ready.on_stdout(SimpleNamespace(text=b"ready: clouds from /points\n")) is None


def test_a_bag_begins_after_a_while_where_the_log_does_not_say_that_the_node_is_ready(
    start_all: StartAll, tmp_path: Path
) -> None:
    _, later = start_all(bag=str(tmp_path), log_level="warn")
    assert later.period > 5 and later.actions[0].cmd[:3] == ["ros2", "bag", "play"]


@pytest.mark.parametrize(
    ("argument", "package"), [({"rviz": "true"}, "rviz2"), ({"bag": "."}, "ros2bag")]
)
def test_what_is_not_installed_is_told_before_anything_starts(
    launch_file: ModuleType,
    start_all: StartAll,
    monkeypatch: pytest.MonkeyPatch,
    argument: dict[str, str],
    package: str,
) -> None:
    def missing(_: str) -> str:
        raise PackageNotFoundError(package)

    settings = sys.modules["pointsam_ros.process.launch_settings"]
    monkeypatch.setattr(settings, "get_package_prefix", missing)
    monkeypatch.setattr(launch_file, "check_installed", settings.check_installed)
    wanted = rf"{next(iter(argument))}: the package {package} is not installed; sudo apt install"
    with pytest.raises(RuntimeError, match=wanted):
        start_all(**argument)


def test_a_missing_bag_is_refused_by_name(start_all: StartAll) -> None:
    with pytest.raises(RuntimeError, match=r"bag: there is nothing at '/nowhere/bag'"):
        start_all(bag="/nowhere/bag")
