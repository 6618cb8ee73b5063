"""The Dockerfile agrees with the repository. Docker itself is not run here."""

from __future__ import annotations

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest
from manifests import package_xml
from places import ROOT

TEXT = (ROOT / "Dockerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, arguments), continued lines joined, comments left out."""
    lines = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined) if word]


def arguments_of(instruction: str) -> list[str]:
    return [rest for word, rest in instructions() if word == instruction]


def ignored(path: str) -> bool:
    patterns = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    return any(fnmatch(path, pattern) or path.startswith(f"{pattern}/") for pattern in patterns)


def test_what_is_copied_exists_and_is_not_left_out() -> None:
    copied = [rest.split() for rest in arguments_of("COPY") if not rest.startswith("--from")]
    assert ["."] in [sources[:-1] for sources in copied]
    for *sources, target in copied:
        assert target.startswith("/opt/ws/src/pointsam")
        for source in sources:
            assert (ROOT / source).exists() and not ignored(source), source


def test_what_the_package_installs_is_not_left_out(declared: dict) -> None:
    shipped = {source for _, sources in declared["data_files"] for source in sources}
    packages = {name.replace(".", "/") for name in declared["packages"]}
    for path in shipped | packages | {"setup.py", "setup.cfg", "pyproject.toml"}:
        assert (ROOT / path).exists() and not ignored(path), path
    assert ignored(".git/config") and ignored(".venv/bin/python"), "the pattern is understood"


def test_its_requirements_are_those_of_the_package(declared: dict) -> None:
    (install,) = (rest for rest in arguments_of("RUN") if "pip install" in rest)
    words = shlex.split(install.replace("&&", ""))
    (listed,) = (words[index + 1] for index, word in enumerate(words) if word == "-r")
    assert (ROOT / Path(listed).relative_to("/opt/ws/src/pointsam")).is_file()
    named = {re.split("[<>=]", word)[0]: word for word in words if re.search("[<>=]+[0-9]", word)}
    assert set(named) == {"numpy", "torch", "cupy-cuda12x"}
    (cupy,) = declared["extras_require"]["cuda12"]
    for name, least in (("torch", "torch>=2.2"), ("cupy-cuda12x", cupy)):
        given = re.search(r">=([\d.]+)", named[name])
        wanted = re.search(r">=([\d.]+)", least)
        assert given and wanted and _numbers(given[1]) >= _numbers(wanted[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_cuda_is_one_version_throughout() -> None:
    cuda = re.search(r"nvidia/cuda:(12\.\d+)\.\d+-runtime-ubuntu24\.04 AS cuda", TEXT)
    assert cuda
    assert set(re.findall(r"/usr/local/cuda-([\d.]+)", TEXT)) == {cuda[1]}


def test_the_packages_it_skips_are_those_of_launch_arguments_only() -> None:
    skipped = re.search(r'--skip-keys "([^"]+)"', TEXT)
    assert skipped
    named = {each.text for each in package_xml(ROOT) if each.tag == "exec_depend"}
    assert set(skipped[1].split()) <= named
    assert set(skipped[1].split()) == {"rviz2", "ros2bag", "rosbag2_storage_default_plugins"}


def test_it_ends_as_a_user_who_starts_the_launch_file() -> None:
    assert arguments_of("USER")[-1] not in ("root", "0")
    command = json.loads(arguments_of("CMD")[-1])
    assert command[:3] == ["ros2", "launch", package_xml(ROOT).findtext("name")]
    launch_file = ROOT / "launch" / command[3]
    for argument in command[4:]:
        name, _, value = argument.partition(":=")
        assert f'"{name}"' in launch_file.read_text() and value
    (entry,) = arguments_of("ENTRYPOINT")
    assert json.loads(entry)[-1].startswith(". /opt/ws/install/setup.bash && exec")


def test_the_readme_runs_it_as_it_says_itself() -> None:
    readme = (ROOT / "README.md").read_text()
    for line in re.findall(r"^#   (docker .*|  ros2 .*)$", TEXT, re.MULTILINE):
        assert line.strip() in readme, line


@pytest.mark.parametrize("path", ["src/pointsam", "src/pointsam/pointsam_interfaces"])
def test_colcon_finds_both_packages(path: str) -> None:
    (build,) = (rest for rest in arguments_of("RUN") if "colcon build" in rest)
    assert path in build.split()
    folder = Path(path).relative_to("src/pointsam")
    assert (ROOT / folder / "package.xml").is_file()
