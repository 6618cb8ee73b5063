"""Launch files, loaded without or with the launch system."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

REAL_LAUNCH = importlib.util.find_spec("launch_ros") is not None
TRANSPORT_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
SETTINGS = "pointsam_ros.process.launch_settings"
Start = Callable[..., SimpleNamespace]
# What launch_ros keeps in a context after SetParameter, SetRemap and the like, as it was seen to.
OF_OTHERS: dict[str, Any] = {
    "global_params": [("use_sim_time", True)],
    "ros_remaps": [("/a", "/b")],
    "ros_params_files": ["other.yaml"],
}


class KeepsArguments:
    """Stands in for any class of launch: keeps what it is constructed with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.__dict__.update(kwargs)


class DeclareLaunchArgument(KeepsArguments):
    def __init__(self, name: str, default_value: str | None = None, description: str = "") -> None:
        super().__init__(name=name, default_value=default_value, description=description)


class ParameterValue:
    def __init__(self, value: Any, *, value_type: type) -> None:
        self.value, self.value_type = value, value_type


def stand_ins() -> dict[str, ModuleType]:
    contents: dict[str, dict[str, Any]] = {
        "launch": {
            "Action": KeepsArguments,
            "LaunchContext": SimpleNamespace,
            "LaunchDescription": KeepsArguments,
        },
        "launch.actions": {
            "DeclareLaunchArgument": DeclareLaunchArgument,
            "ExecuteProcess": KeepsArguments,
            "OpaqueFunction": KeepsArguments,
            "RegisterEventHandler": KeepsArguments,
            "TimerAction": KeepsArguments,
        },
        "launch.event_handlers": {"OnProcessIO": KeepsArguments},
        "launch_ros": {},
        "launch_ros.actions": {"Node": KeepsArguments},
        "launch_ros.parameter_descriptions": {"ParameterValue": ParameterValue},
    }
    modules = {}
    for name, names in contents.items():
        modules[name] = ModuleType(name)
        modules[name].__dict__.update(names)
    return modules


def executed(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loaded(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A launch file as a module, with nothing chosen in the environment."""
    if not REAL_LAUNCH:
        for name, module in stand_ins().items():
            monkeypatch.setitem(sys.modules, name, module)
    for variable in TRANSPORT_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    settings = importlib.util.find_spec(SETTINGS)
    assert settings is not None and settings.origin is not None
    monkeypatch.setitem(sys.modules, SETTINGS, executed(SETTINGS, Path(settings.origin)))
    return executed(path.name.split(".")[0], path)


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


def overrides(node: SimpleNamespace) -> dict[str, Any]:
    """The parameters the launch file sets itself, over those of the parameter file."""
    merged: dict[str, Any] = {}
    for each in node.parameters[1:]:
        merged.update(each)
    return merged
