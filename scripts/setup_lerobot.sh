#!/usr/bin/env bash
# Makes .venv-lerobot with LeRobot and this project. LeRobot's bounds on torch, OpenCV and others are narrower than what
# .venv has, so it gets an environment of its own. Run again, it does nothing unless this script or setup.py has changed.
#
#   PYTHON          interpreter, default python3 (3.10 to 3.12); 3.12 gets LeRobot 0.6, older ones 0.4
#   LEROBOT_TORCH   arguments for `pip install` that choose the torch build; default: a CPU build
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
VENV=.venv-lerobot
TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
# What LeRobot 0.4 and 0.6 both take.
LEROBOT_TORCH=${LEROBOT_TORCH:-"torch>=2.7,<2.11 torchvision --index-url $TORCH_CPU_INDEX"}

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf '\033[1;31merror:\033[0m %s\n' "$*" >&2; exit 1; }

WANTED=$({ cat setup.py scripts/setup_lerobot.sh; printf '%s\n' "$PWD" "$PYTHON" "$LEROBOT_TORCH"; } | sha256sum | cut -d' ' -f1)
if [ -x $VENV/bin/python ] && [ "$(cat $VENV/.setup-stamp 2>/dev/null)" = "$WANTED" ]; then exit 0; fi

say "$VENV with LeRobot"
[ -x $VENV/bin/python ] || "$PYTHON" -m venv $VENV
# First, and alone: otherwise pip takes a CUDA build of several gigabytes from its own indexes.
# shellcheck disable=SC2086  # several arguments
$VENV/bin/python -m pip --disable-pip-version-check install --quiet $LEROBOT_TORCH ||
    fail "no torch for LeRobot: is the CPU index out of reach? Choose a build with LEROBOT_TORCH (scripts/setup_lerobot.sh)"
$VENV/bin/python -m pip --disable-pip-version-check install --quiet --editable ".[lerobot]" \
    "pytest>=8,<9" "pytest-timeout>=2.3,<3" "pytest-rerunfailures>=14,<17" "psutil>=5.9,<8" ||
    fail "LeRobot could not be installed beside this project"
echo "$WANTED" > $VENV/.setup-stamp
say "ready: $VENV/bin/fetch-sim2real export BAG --to lerobot --output DIR"
