"""What users' programs, files and habits rest on stays: new names may come, none goes."""

from __future__ import annotations

import importlib.util
import json

from places import FIXTURES, ROOT

import pointsam_model
import pointsam_model.readers
from pointsam_model.config.building import settings
from pointsam_ros.config import NodeConfig

NAMES = json.loads((FIXTURES / "public_names.json").read_text())


def test_the_names_of_the_package_stay() -> None:
    assert set(NAMES["pointsam_model"]) <= set(pointsam_model.__all__)
    assert all(hasattr(pointsam_model, name) for name in pointsam_model.__all__)


def test_the_names_of_the_readers_stay() -> None:
    assert set(NAMES["pointsam_model.readers"]) <= set(pointsam_model.readers.__all__)


def test_parameters_stay() -> None:
    assert set(NAMES["parameters"]) <= {name for name, _, _ in settings(NodeConfig())}


def test_topics_services_and_actions_stay() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "pointsam_ros").rglob("*.py"))
    assert [name for name in NAMES["topics_and_services"] if f'"{name}"' not in sources] == []


def test_what_is_run_by_its_module_stays() -> None:
    for module in NAMES["modules_that_run"]:
        assert importlib.util.find_spec(module) is not None, module


def test_files_that_users_name_stay() -> None:
    for folder, names in (
        ("launch", NAMES["launch_files"]),
        ("config", NAMES["config"]),
        ("pointsam_interfaces", NAMES["interfaces"]),
    ):
        assert [name for name in names if not (ROOT / folder / name).exists()] == []
