"""The launch file: its arguments, and the node it starts with them.

Where `launch` and `launch_ros` are installed the file runs against them; elsewhere against
stand-ins that keep what they are given.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LAUNCH_FILE = ROOT / "launch" / "segment.launch.py"
REAL_LAUNCH = importlib.util.find_spec("launch_ros") is not None
TRANSPORT_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")

Start = Callable[..., SimpleNamespace]


class KeepsArguments:
    """Stands in for any class of launch: keeps what it is constructed with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.__dict__.update(kwargs)


class DeclareLaunchArgument(KeepsArguments):
    def __init__(self, name: str, default_value: str | None = None, description: str = "") -> None:
        super().__init__(name=name, default_value=default_value, description=description)


class LaunchConfiguration:
    def __init__(self, name: str) -> None:
        self.name = name

    def perform(self, context: Any) -> str:
        return str(context.launch_configurations[self.name])


class ParameterValue:
    def __init__(self, value: Any, *, value_type: type) -> None:
        self.value, self.value_type = value, value_type


def stand_ins() -> dict[str, ModuleType]:
    contents: dict[str, dict[str, Any]] = {
        "launch": {"LaunchContext": SimpleNamespace, "LaunchDescription": KeepsArguments},
        "launch.actions": {
            "DeclareLaunchArgument": DeclareLaunchArgument,
            "OpaqueFunction": KeepsArguments,
        },
        "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration},
        "launch_ros": {},
        "launch_ros.actions": {"Node": KeepsArguments},
        "launch_ros.parameter_descriptions": {"ParameterValue": ParameterValue},
    }
    modules = {}
    for name, names in contents.items():
        modules[name] = ModuleType(name)
        modules[name].__dict__.update(names)
    return modules


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if not REAL_LAUNCH:
        for name, module in stand_ins().items():
            monkeypatch.setitem(sys.modules, name, module)
    for variable in TRANSPORT_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    spec = importlib.util.spec_from_file_location("segment_launch", LAUNCH_FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared_arguments(launch_file: ModuleType) -> dict[str, SimpleNamespace]:
    """Name -> description and default (None: the argument is required)."""
    description = launch_file.generate_launch_description()
    if REAL_LAUNCH:
        return {
            each.name: SimpleNamespace(
                description=each.description,
                default=None
                if each.default_value is None
                else "".join(part.text for part in each.default_value),
            )
            for each in description.get_launch_arguments()
        }
    return {
        each.name: SimpleNamespace(description=each.description, default=each.default_value)
        for each in description.args[0]
        if isinstance(each, DeclareLaunchArgument)
    }


@pytest.fixture
def start(launch_file: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """Runs the launch file with the given arguments; what the node was started with comes back."""
    params_file = tmp_path / "params.yaml"
    params_file.write_text("/**:\n  ros__parameters: {}\n")

    def run(**given: str) -> SimpleNamespace:
        defaults = {
            name: each.default
            for name, each in declared_arguments(launch_file).items()
            if each.default is not None
        }
        arguments = {**defaults, "cloud_topic": "/points", "params_file": str(params_file), **given}
        if REAL_LAUNCH:
            context = launch_file.LaunchContext()
            context.launch_configurations.update(arguments)
            assert len(launch_file.start_node(context)) == 1  # launch_ros accepts the arguments
        else:
            context = SimpleNamespace(launch_configurations=arguments)
        with monkeypatch.context() as patched:
            patched.setattr(launch_file, "Node", SimpleNamespace)
            (node,) = launch_file.start_node(context)
        return node

    return run


def overrides(node: SimpleNamespace) -> dict[str, Any]:
    """The parameters the launch file sets itself, over those of the parameter file."""
    merged: dict[str, Any] = {}
    for each in node.parameters[1:]:
        merged.update(each)
    return merged


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


def test_text_that_looks_like_a_number_stays_text(launch_file: ModuleType, start: Start) -> None:
    checkpoint = overrides(start(checkpoint="2024"))["model.checkpoint"]
    assert isinstance(checkpoint, launch_file.ParameterValue)
    assert checkpoint.value_type is str


def test_overridden_parameters_are_parameters_of_the_node(launch_file: ModuleType) -> None:
    names = {*launch_file.TEXT_PARAMETERS.values(), *launch_file.SWITCH_PARAMETERS.values()}
    names.remove("use_sim_time")  # every ROS node declares it by itself
    parameters = yaml.safe_load((ROOT / "config" / "segment.yaml").read_text())
    assert list(parameters) == ["/**"], "a namespaced node would not find its parameters"
    assert names <= set(dotted(parameters["/**"]["ros__parameters"]))


def dotted(tree: dict[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, value in tree.items():
        names += dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return names


@pytest.mark.parametrize("name", ["autostart", "use_sim_time"])
def test_switch_that_is_neither_true_nor_false_is_refused(start: Start, name: str) -> None:
    with pytest.raises(RuntimeError, match=f"{name}: 'maybe' is neither true nor false"):
        start(**{name: "maybe"})


def test_missing_parameter_file_is_refused_by_name(start: Start) -> None:
    with pytest.raises(RuntimeError, match=r"there is no file '/nowhere/params.yaml'"):
        start(params_file="/nowhere/params.yaml")


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
