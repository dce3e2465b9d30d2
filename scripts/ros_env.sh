# Sourced by scripts/setup_venv.sh and by the Makefile. Decides in one place which ROS 2 this clone uses:
#   FETCH_ROS=apt     a ROS 2 of this machine, Jazzy or newer: sourced in this shell, or found in /opt/ros
#   FETCH_ROS=wheels  ROS 2 Jazzy from PyPI, inside .venv
# Set FETCH_ROS beforehand to force one. Expects PYTHON, the interpreter that .venv is made with.

fetch_has_rclpy() { "$PYTHON" -c 'import rclpy' >/dev/null 2>&1; }

fetch_ros_is_old() {
    case "${ROS_DISTRO:-}" in ardent|bouncy|crystal|dashing|eloquent|foxy|galactic|humble|iron) return 0 ;; esac
    return 1
}

# Takes a sourced ROS out of this shell: on PYTHONPATH it would come before the packages in .venv.
fetch_leave_ros() {
    local variable entry kept
    for variable in PYTHONPATH LD_LIBRARY_PATH; do
        kept=
        while IFS= read -r -d: entry; do
            case ":${AMENT_PREFIX_PATH:-}:" in *":${entry%%/lib*}:"*) continue ;; esac
            case "$entry" in ''|/opt/ros/*) continue ;; esac
            kept="${kept:+$kept:}$entry"
        done <<< "${!variable:-}:"
        if [ -n "$kept" ]; then export "$variable=$kept"; else unset "$variable"; fi
    done
    unset AMENT_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION
}

fetch_choose_ros() {
    local setup
    if [ "${FETCH_ROS:-}" = wheels ]; then
        fetch_leave_ros
        return 0
    fi
    if [ -n "${AMENT_PREFIX_PATH:-}" ]; then
        if ! fetch_ros_is_old && fetch_has_rclpy; then FETCH_ROS=apt; return 0; fi
        echo "note: ROS ${ROS_DISTRO:-(unknown)}, sourced in this shell, is older than Jazzy or not for $PYTHON: not used" >&2
        fetch_leave_ros
    fi
    for setup in /opt/ros/jazzy/setup.bash /opt/ros/[k-z]*/setup.bash; do
        [ -f "$setup" ] || continue
        set +u  # ROS's setup files read variables that are not set
        # shellcheck disable=SC1090
        . "$setup"
        set -u
        if fetch_has_rclpy; then FETCH_ROS=apt; return 0; fi
        fetch_leave_ros
    done
    if [ "${FETCH_ROS:-}" = apt ]; then
        echo "error: FETCH_ROS=apt, but there is no ROS 2 Jazzy or newer for $PYTHON: source its setup.bash first" >&2
        return 1
    fi
    FETCH_ROS=wheels
}

fetch_choose_ros
