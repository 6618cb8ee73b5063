# Puts pointsam_ros into this shell (bash or zsh):  . scripts/env.sh
#
# Afterwards `pointsam`, `segment_node`, `python -m pointsam_ros.segment_node` and ROS run, from any
# folder and with the sources as they are now. Safe to repeat, and under `set -u`.

if [ -n "${ZSH_VERSION:-}" ]; then
    eval '_pointsam_here=${(%):-%x}'
else
    _pointsam_here=${BASH_SOURCE[0]}
fi
_pointsam_root=$(cd "$(dirname "$_pointsam_here")/.." >/dev/null && pwd)

_pointsam_prepend() { # prepend VARIABLE FOLDER: puts the folder first in a colon list, once
    eval "_pointsam_list=\${$1:-}"
    case ":$_pointsam_list:" in
    *":$2:"*) ;;
    *) eval "export $1=\"\$2\${_pointsam_list:+:\$_pointsam_list}\"" ;;
    esac
}

_pointsam_enter() {
    if [ ! -f "$_pointsam_root/.venv/bin/activate" ] ||
        [ ! -f "$_pointsam_root/install/local_setup.bash" ]; then
        echo "pointsam_ros is not set up yet: run  make -C $_pointsam_root setup" >&2
        return 1
    fi
    # colcon's and venv's scripts read variables that need not exist.
    case $- in *u*) _pointsam_nounset=1 ;; *) _pointsam_nounset=0 ;; esac
    set +u

    if [ "${VIRTUAL_ENV:-}" != "$_pointsam_root/.venv" ]; then
        if [ -n "${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-}" ]; then
            # Left over from another environment's ROS wheels: their libraries would be loaded here.
            unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
        fi
        . "$_pointsam_root/.venv/bin/activate"
    fi

    if grep -qi "include-system-site-packages = true" "$_pointsam_root/.venv/pyvenv.cfg"; then
        _pointsam_setup=setup # on a ROS 2 distribution: this sources the distribution first
    else
        _pointsam_setup=local_setup # on the wheels: the environment itself is the ROS prefix
        _pointsam_prepend AMENT_PREFIX_PATH "$_pointsam_root/.venv"
        _pointsam_prepend CMAKE_PREFIX_PATH "$_pointsam_root/.venv"
    fi
    if [ -n "${ZSH_VERSION:-}" ]; then
        . "$_pointsam_root/install/$_pointsam_setup.zsh"
    else
        . "$_pointsam_root/install/$_pointsam_setup.bash"
    fi

    # colcon installs executables where `ros2 run` looks for them, which is not on PATH.
    _pointsam_prepend PATH "$_pointsam_root/install/lib/pointsam_ros"

    # Without this profile most large clouds that this shell publishes would be lost.
    if [ -z "${FASTRTPS_DEFAULT_PROFILES_FILE:-}${FASTDDS_DEFAULT_PROFILES_FILE:-}" ]; then
        export FASTRTPS_DEFAULT_PROFILES_FILE="$_pointsam_root/config/fastdds_large_clouds.xml"
    fi

    if [ "$_pointsam_nounset" = 1 ]; then set -u; fi
}

_pointsam_enter
_pointsam_status=$?
unset -f _pointsam_enter _pointsam_prepend
unset _pointsam_here _pointsam_root _pointsam_list _pointsam_nounset _pointsam_setup
if [ "$_pointsam_status" = 0 ]; then
    unset _pointsam_status
else
    unset _pointsam_status
    return 1
fi
