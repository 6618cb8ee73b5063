"""What is declared, shipped and built is what the code needs."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from manifests import package_xml
from places import ROOT

PACKAGES = ("pointsam_model", "pointsam_ros")
INTERFACE_FILES = sorted(
    path
    for folder in ("msg", "srv", "action")
    for path in (ROOT / "pointsam_interfaces" / folder).iterdir()
)

# Import names that differ from the name on PyPI.
DISTRIBUTIONS = {
    "cupy": "cupy-cuda12x",
    "cupyx": "cupy-cuda12x",
    "lzf": "python-neo-lzf",
    "mcap_protobuf": "mcap-protobuf-support",
    "yaml": "pyyaml",
}
# ROS packages whose import name differs from the name in package.xml.
ROS_PACKAGES = {"tf2_ros": "tf2_ros_py"}
# Imported where they are used, with a clear message when missing.
OPTIONAL = {"vision_msgs": "~/detections, where it is installed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in the wheel that setup.py builds."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)]
    command += ["build", "--build-base", str(folder / "build")]
    command += ["bdist_wheel", "--dist-dir", str(folder / "dist")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (path,) = (folder / "dist").glob("*.whl")
    return zipfile.ZipFile(path).namelist()


def requirement_names(lines: list[str]) -> set[str]:
    return {
        re.split(r"[<>=!~\[; ]", line, maxsplit=1)[0].lower()
        for line in (each.split("#")[0].strip() for each in lines)
        if line
    }


def imported_modules() -> Iterator[tuple[str, Path]]:
    """Top-level name of every absolute import in the two packages, wherever it stands."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        yield alias.name.split(".")[0], path
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module.split(".")[0], path


def test_version_is_the_same_everywhere(declared: dict[str, Any]) -> None:
    versions = {
        package_xml(ROOT).findtext("version"),
        package_xml(ROOT / "pointsam_interfaces").findtext("version"),
        declared["version"],
    }
    assert len(versions) == 1


def test_every_import_is_declared(declared: dict[str, Any]) -> None:
    extras = [line for lines in declared["extras_require"].values() for line in lines]
    on_pypi = requirement_names(declared["install_requires"] + extras)
    in_ros = {each.text for each in package_xml(ROOT) if each.tag in ("exec_depend", "depend")}
    undeclared = {
        f"{name} in {path.relative_to(ROOT)}"
        for name, path in imported_modules()
        if name not in sys.stdlib_module_names
        and name not in PACKAGES
        and DISTRIBUTIONS.get(name, name).lower() not in on_pypi
        and ROS_PACKAGES.get(name, name) not in in_ros
        and name not in OPTIONAL
    }
    assert not undeclared, "imported, but neither in setup.py nor in package.xml"


def test_every_dependency_is_imported(declared: dict[str, Any]) -> None:
    imported = {DISTRIBUTIONS.get(name, name).lower() for name, _ in imported_modules()}
    assert requirement_names(declared["install_requires"]) - imported == set()


def test_model_imports_no_ros_and_ros_imports_no_torch() -> None:
    in_ros = {each.text for each in package_xml(ROOT) if each.tag == "exec_depend"}
    ros_names = {name for name in in_ros if name and not name.startswith("python3-")}
    forbidden = {
        "pointsam_model": {*ros_names, "tf2_ros", "pointsam_ros"},
        "pointsam_ros": {"torch", "cupy", "cupyx"},
    }
    crossings = {
        f"{name} in {path.relative_to(ROOT)}"
        for name, path in imported_modules()
        if name in forbidden[path.relative_to(ROOT).parts[0]]
    }
    assert not crossings


def test_requirement_lists_agree_with_setup(declared: dict[str, Any]) -> None:
    def listed(name: str) -> set[str]:
        lines = (ROOT / "requirements" / name).read_text().splitlines()
        return {line.strip() for line in lines if line.strip() and not line.startswith("#")}

    runtime = set(declared["install_requires"])
    assert listed("runtime.txt") == {each for each in runtime if not each.startswith("torch")}
    assert requirement_names(list(listed("torch.txt"))) == {"torch"}
    assert listed("dev.txt") == set(declared["extras_require"]["dev"])


def test_every_dependency_states_its_reason() -> None:
    lines = (ROOT / "setup.py").read_text().splitlines()
    dependencies = [line for line in lines if re.match(r'\s+.*"[\w-]+>=[\d.]+"', line)]
    assert len(dependencies) > 10
    for line in dependencies:
        if "python_requires" not in line:
            assert "  # " in line, line


def test_all_data_files_exist(declared: dict[str, Any]) -> None:
    shipped = {source for _, sources in declared["data_files"] for source in sources}
    for source in shipped:
        assert (ROOT / source).is_file(), source
    assert {
        "resource/pointsam_ros",
        "package.xml",
        "launch/segment.launch.py",
        "launch/segment_cameras.launch.py",
        "config/segment.yaml",
        "config/fastdds_large_clouds.xml",
        "config/sros2/pointsam.policy.xml",
    } <= shipped


def test_wheel_has_everything_that_the_packages_need(wheel: list[str]) -> None:
    needed = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert needed - set(wheel) == set()
    assert any(name.endswith("share/pointsam_ros/config/segment.yaml") for name in wheel)


def test_wheel_has_nothing_else(wheel: list[str]) -> None:
    folders = {name.split("/")[0] for name in wheel if not re.match(r".*\.(dist-info|data)/", name)}
    assert folders == set(PACKAGES)


def test_entry_points_exist(declared: dict[str, Any]) -> None:
    scripts = declared["entry_points"]["console_scripts"]
    assert [each.split(" = ")[0] for each in scripts] == [
        "segment_node",
        "segment_cameras",
        "pointsam",
    ]
    for each in scripts:
        module, function = each.split(" = ")[1].split(":")
        path = ROOT / Path(*module.split(".")).with_suffix(".py")
        defined = set()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                defined.add(node.name)
            elif isinstance(node, ast.Assign):
                defined |= {each.id for each in node.targets if isinstance(each, ast.Name)}
        assert function in defined, f"{path} has no {function}"


def test_large_cloud_profile_enlarges_shared_memory() -> None:
    root = ElementTree.parse(ROOT / "config" / "fastdds_large_clouds.xml").getroot()
    space = {"dds": root.tag[1 : root.tag.index("}")]}
    transports = {
        each.findtext("dds:type", namespaces=space): each
        for each in root.iterfind(".//dds:transport_descriptor", space)
    }
    assert set(transports) == {"SHM", "UDPv4"}
    assert transports["SHM"].findtext("dds:segment_size", namespaces=space) == str(32 * 2**20)
    participant = root.find(".//dds:participant", space)
    assert participant is not None and participant.get("is_default_profile") == "true"
    used = participant.iterfind(".//dds:userTransports/dds:transport_id", space)
    known = root.iterfind(".//dds:transport_descriptor/dds:transport_id", space)
    assert {each.text for each in used} == {each.text for each in known}


@pytest.mark.parametrize("path", INTERFACE_FILES, ids=lambda path: path.name)
def test_every_interface_field_is_commented(path: Path) -> None:
    commented = False
    fields = 0
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            commented = True
        elif re.match(r"[\w/]+(\[\d*\])? \w+(=\d+| \d+)?$", line):  # a constant, a default
            fields += 1
            assert commented, f"{path.name}: '{line}' has no comment above it"
            commented = False
        else:
            assert line in ("", "---"), f"{path.name}: '{line}' is not understood"
            commented = False
    assert fields > 0


@pytest.mark.parametrize("path", INTERFACE_FILES, ids=lambda path: path.name)
def test_every_interface_is_listed_for_generation(path: Path) -> None:
    listed = (ROOT / "pointsam_interfaces" / "CMakeLists.txt").read_text()
    assert f'"{path.parent.name}/{path.name}"' in listed


def test_built_interfaces_have_every_field() -> None:
    pytest.importorskip("pointsam_interfaces", reason="pointsam_interfaces is not built")
    for path in INTERFACE_FILES:
        built = getattr(
            importlib.import_module(f"pointsam_interfaces.{path.parent.name}"), path.stem
        )
        parts = {
            "msg": [built],
            "srv": [getattr(built, name, None) for name in ("Request", "Response")],
            "action": [getattr(built, name, None) for name in ("Goal", "Result", "Feedback")],
        }[path.parent.name]
        for part, text in zip(parts, path.read_text().split("\n---\n"), strict=True):
            fields = re.findall(r"^[\w/]+(?:\[\])? (\w+)(?: \d+)?$", text, re.MULTILINE)
            assert part is not None
            assert list(part.get_fields_and_field_types()) == fields, path.name
            for name, value in re.findall(r"^\w+ (\w+)=(\d+)$", text, re.MULTILINE):
                assert getattr(part, name) == int(value)
