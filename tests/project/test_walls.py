"""The floors of the house: what may import what. `pytest -s` prints them."""

from __future__ import annotations

import pytest
from import_graph import circles, imports, reached

GRAPH = imports()

# From the ground up; what shares a floor does not import each other.
MODEL_FLOORS = (
    ("errors", "version"),
    ("config",),
    ("device",),
    ("ops",),
    ("cloud", "nn"),
    ("geometry", "instances"),
    ("quality",),
    ("weights",),
    ("segment",),
    ("tracking",),
    ("",),  # the public names
    ("data",),
    ("scenes",),
    ("pictures", "fitting", "training", "readers"),
    ("evaluation",),
    ("cli",),
)
ROS_FLOORS = (
    ("codes", "transport", "waiting"),
    ("refusal", "config", "client"),
    ("parameters", "parameter_reference", "clouds"),
    ("health",),
    ("outputs", "process"),
    ("requests",),
    ("work",),
    ("doors",),
    ("segment_node",),
    ("segment_cameras",),
    ("demo",),
)
FLOORS = {"pointsam_model": MODEL_FLOORS, "pointsam_ros": ROS_FLOORS}
ROS = {"rclpy", "pointsam_interfaces", "sensor_msgs", "std_msgs", "geometry_msgs", "tf2_ros"}


def room(module: str) -> str:
    """The part of a package that a module is in; empty: the package itself."""
    return ([*module.split("."), ""])[1]


def floor(module: str) -> int:
    package = module.split(".")[0]
    (found,) = [n for n, rooms in enumerate(FLOORS[package]) if room(module) in rooms] or [-1]
    return found


@pytest.mark.parametrize("package", FLOORS)
def test_every_module_is_on_a_floor(package: str) -> None:
    homeless = {room(each) for each in GRAPH if each.startswith(package) and floor(each) < 0}
    assert homeless <= {""}, "give it a floor"


@pytest.mark.parametrize("package", FLOORS)
def test_no_import_goes_up_a_floor(package: str) -> None:
    print(f"\n{package}, from the top down:")
    for rooms in reversed(FLOORS[package]):
        print("   ", ", ".join(each or "(public names)" for each in rooms))
    up = [
        f"{module} -> {other}"
        for module, others in GRAPH.items()
        for other in others
        if module.startswith(package) and other.startswith(package) and floor(module) >= 0
        if room(module) != room(other) and floor(other) >= floor(module)
    ]
    assert not up


def test_no_files_import_each_other_not_even_for_types() -> None:
    assert circles(GRAPH) == []


def test_the_model_knows_nothing_of_ros() -> None:
    for module, others in GRAPH.items():
        if module.startswith("pointsam_model"):
            assert not others & ROS and not any(each.startswith("pointsam_ros") for each in others)


def test_the_node_uses_neither_torch_nor_cupy() -> None:
    for module, others in GRAPH.items():
        if module.startswith("pointsam_ros"):
            assert not others & {"torch", "cupy"}, module


def test_the_node_uses_the_public_names_of_the_model_only() -> None:
    public = {"pointsam_model", "pointsam_model.errors", "pointsam_model.config"}
    tools = {"pointsam_model.data", "pointsam_model.evaluation", "pointsam_model.pictures"}
    for module, others in GRAPH.items():
        if not module.startswith("pointsam_ros"):
            continue
        allowed = public | tools | {"pointsam_model.scenes"} if room(module) == "demo" else public
        used = {each for each in others if each.startswith("pointsam_model")}
        assert {".".join(each.split(".")[:2]) for each in used} <= allowed, module


def test_the_client_needs_neither_the_node_nor_the_model() -> None:
    needed = reached(GRAPH, "pointsam_ros.client")
    assert {room(each) for each in needed} == {"client", "codes", "transport", "waiting"}
    assert not any(each.startswith("pointsam_model") for each in needed)


def test_launch_files_can_read_their_settings_without_the_model() -> None:
    needed = reached(GRAPH, "pointsam_ros.process.launch_settings")
    assert not any(each.startswith("pointsam_model") for each in needed)


def test_the_check_sees_imports_up_and_circles() -> None:
    assert floor("pointsam_model.ops.cpu") < floor("pointsam_model.cloud.cloud")
    assert floor("pointsam_model") > floor("pointsam_model.segment.predictor")
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []
