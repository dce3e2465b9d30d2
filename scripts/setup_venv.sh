#!/usr/bin/env bash
# Makes .venv with everything that the stack, its training and its tests need. Run again, it does nothing
# unless this script, setup.py or one of the choices below has changed.
#
#   PYTHON      interpreter, default python3 (3.10 to 3.12)
#   TORCH_SPEC  arguments for `pip install` that choose the torch build, for a GPU for example
#               TORCH_SPEC="torch --index-url https://download.pytorch.org/whl/cu126"; default: a CPU build
#   EXTRAS      further extras of setup.py, comma-separated: docs, drake, foxglove, onnx, parquet, ray, realsense,
#               rosbridge, viz
#   FETCH_ROS   apt or wheels; default: an apt ROS if there is one (scripts/ros_env.sh)
#   SKIP_APT=1  never install Debian packages, only name those that are missing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
VENV=.venv
# Choices once made hold for later runs that say nothing: `make test` must not undo `make venv EXTRAS=realsense`.
EXTRAS=${EXTRAS-$(cat $VENV/.extras 2>/dev/null || true)}
TORCH_SPEC=${TORCH_SPEC-$(cat $VENV/.torch-spec 2>/dev/null || true)}
STAMP=$VENV/.setup-stamp
TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
TORCH_VERSION=2.13.0  # the one that the tests run with; setup.py admits a range

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf '\033[1;31merror:\033[0m %s\n' "$*" >&2; exit 1; }

# One set-up at a time: a second `make` waits here. The lock is on the folder, so no file is left.
exec 9<.
command -v flock >/dev/null && flock 9

command -v "$PYTHON" >/dev/null || fail "$PYTHON is not installed: sudo apt-get install -y python3 python3-venv"
INTERPRETER=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2], sys.base_prefix)')
case "$INTERPRETER" in
    3.10\ *|3.11\ *|3.12\ *) ;;
    *) fail "$PYTHON is Python ${INTERPRETER%% *}, expected 3.10 to 3.12: make venv PYTHON=python3.12" ;;
esac

. scripts/ros_env.sh

WANTED=$({
    cat setup.py scripts/setup_venv.sh scripts/ros_env.sh
    printf '%s\n' "$PWD" "$INTERPRETER" "ros=$FETCH_ROS" "torch=$TORCH_SPEC" "extras=$EXTRAS"
} | sha256sum | cut -d' ' -f1)
if [ -x $VENV/bin/python ] && [ "$(cat $STAMP 2>/dev/null)" = "$WANTED" ]; then exit 0; fi

# ---- Debian packages -------------------------------------------------------------------------------------------------

LIBRARIES=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || true)
has_library() { grep -q "$1" <<< "$LIBRARIES"; }
has_package() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing_packages() {
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || echo "python${INTERPRETER%% *}-venv"
    has_library libEGL.so.1 || echo libegl1
    has_library libGL.so.1 || echo libgl1
    # NVIDIA's driver brings an EGL of its own; everything else renders with Mesa.
    [ -e /usr/share/glvnd/egl_vendor.d/10_nvidia.json ] || has_package libgl1-mesa-dri || echo libgl1-mesa-dri
    case ",$EXTRAS," in *,realsense,*) has_library libusb-1.0.so.0 || echo libusb-1.0-0 ;; esac
}

install_packages() {
    local -a as_root=() missing=("$@")
    local by_hand="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    [ "$(id -u)" = 0 ] || ! command -v sudo >/dev/null || by_hand="sudo sh -c '$by_hand'"
    [ -z "${SKIP_APT:-}" ] || fail "Debian packages are missing. Install them, then run make again:  $by_hand"
    command -v apt-get >/dev/null ||
        fail "this system has no apt-get. Install what these Debian packages hold, then run make again: ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "not root and no sudo. As root, run:  $by_hand"
        # Without a terminal sudo could only hang or fail: say what to do instead.
        sudo -n true 2>/dev/null || [ -t 0 ] || fail "sudo wants a password and there is no terminal. Run:  $by_hand"
        as_root=(sudo)
    fi
    say "Debian packages: ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install them. Try by hand:  $by_hand"
}

can_install_quietly() {
    [ -z "${SKIP_APT:-}" ] && command -v apt-get && { [ "$(id -u)" = 0 ] || sudo -n true; }
} &>/dev/null

mapfile -t MISSING < <(missing_packages)
# pyrealsense2 needs it. Where no camera is wanted, only tests are skipped without it: no reason to stop here.
if [[ ",$EXTRAS," != *,realsense,* ]] && ! has_library libusb-1.0.so.0; then
    if can_install_quietly; then MISSING+=(libusb-1.0-0); else say "libusb-1.0-0 is missing: tests of the camera will be skipped"; fi
fi
[ ${#MISSING[@]} = 0 ] || install_packages "${MISSING[@]}"

# ---- the virtual environment -----------------------------------------------------------------------------------------

# A .venv of another interpreter, another place or the other kind of ROS cannot be repaired, only made anew.
KIND="$INTERPRETER $PWD $FETCH_ROS"
if [ ! -x $VENV/bin/python ] || [ "$(cat $VENV/.kind 2>/dev/null)" != "$KIND" ]; then
    [ ! -e $VENV ] || say "$VENV is of another Python, place or kind of ROS, or unfinished: made anew"
    say "$VENV with Python ${INTERPRETER%% *}; ROS 2 from $FETCH_ROS"
    rm -rf $VENV
    # An apt ROS is partly in Debian's Python folder (lark, for example), so .venv must see that.
    if [ "$FETCH_ROS" = apt ]; then "$PYTHON" -m venv --system-site-packages $VENV; else "$PYTHON" -m venv $VENV; fi
    echo "$KIND" > $VENV/.kind
fi
rm -f $STAMP
LOG=$VENV/setup.log
: > $LOG

# pip says hundreds of lines. They go to a log; a terminal shows the last one.
show_progress() {
    local line
    while IFS= read -r line; do
        if [ -t 1 ]; then printf '\r\033[K    %s' "${line:0:74}"; fi
    done
    if [ -t 1 ]; then printf '\r\033[K'; fi
}
pip_install() {
    if $VENV/bin/python -m pip --disable-pip-version-check install "$@" 2>&1 | tee -a $LOG | show_progress; then return; fi
    tail -n 25 $LOG >&2
    fail "pip could not install this; all that it said is in $LOG"
}
pip_install --upgrade pip

# ---- torch: plain `pip install torch` would fetch gigabytes of CUDA --------------------------------------------------

answers_quickly() {
    "$PYTHON" - "$1" <<'PROBE' 2>/dev/null
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=5)
PROBE
}
if [ -n "$TORCH_SPEC" ]; then
    say "torch as asked for: $TORCH_SPEC"
    # shellcheck disable=SC2086  # several arguments
    pip_install $TORCH_SPEC
elif $VENV/bin/python -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then
    say "torch $($VENV/bin/python -c 'import importlib.metadata as m; print(m.version("torch"))') is there already"
elif answers_quickly "$TORCH_CPU_INDEX/torch/"; then
    say "torch $TORCH_VERSION, CPU build, from $TORCH_CPU_INDEX"
    pip_install "torch==$TORCH_VERSION" --index-url "$TORCH_CPU_INDEX"
else
    say "torch $TORCH_VERSION from pip's own indexes: $TORCH_CPU_INDEX does not answer (from PyPI this may be a large CUDA build)"
    pip_install "torch==$TORCH_VERSION"
fi

# ---- everything else -------------------------------------------------------------------------------------------------

EXTRA_LIST="train,test${EXTRAS:+,$EXTRAS}"
if [ "$FETCH_ROS" = wheels ]; then
    EXTRA_LIST="ros-wheels,$EXTRA_LIST"
elif ! compgen -G "$VENV/lib/python*/site-packages/scipy" >/dev/null; then
    # Debian's builds of these are for Debian's numpy; a newer numpy in .venv would break them.
    pip_install --ignore-installed "numpy<3" scipy matplotlib
fi
say "packages: fetch-sim2real[$EXTRA_LIST]"
pip_install --editable ".[$EXTRA_LIST]"
# Beside an apt ROS pip would also list the quarrels of packages that are not ours.
[ "$FETCH_ROS" = apt ] || $VENV/bin/python -m pip check >> $LOG 2>&1 ||
    say "pip sees a conflict (end of $LOG); the stack may run all the same: .venv/bin/fetch-sim2real doctor"

echo "$EXTRAS" > $VENV/.extras
echo "$TORCH_SPEC" > $VENV/.torch-spec
echo "$WANTED" > $STAMP
say "ready: make sim, make test; what this machine has: .venv/bin/fetch-sim2real doctor"
