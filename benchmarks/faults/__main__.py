"""Breaks one part of a graph after the other while the arm moves: how soon does it brake, what brings it back?

The exit status is 1 if an arm braked too late, moved without being enabled, or did not move again after it; 2 if a
fault could not be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from benchmarks.faults import driver_faults, graph_faults, input_faults, peer_faults
from benchmarks.faults.measure import Measurement
from benchmarks.faults.table import markdown
from benchmarks.graph_run import machine, machine_text
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.stack.ros_environment import DOMAIN_VARIABLE, claim_domain

Fault = Callable[[Path], Iterator[Measurement]]
FAULTS: Final[Mapping[str, Fault]] = {
    "camera_unplugged": graph_faults.camera_unplugged,
    "camera_frozen": graph_faults.camera_frozen,
    "color_only": graph_faults.color_only,
    "depth_only": graph_faults.depth_only,
    "policy_killed": graph_faults.policy_killed,
    "policy_hangs": graph_faults.policy_hangs,
    "driver_killed": graph_faults.driver_killed,
    "joint_states_stop": driver_faults.joint_states_stop,
    "two_commanders": driver_faults.two_commanders,
    "socket_dropped": driver_faults.socket_dropped,
    "half_open_socket": driver_faults.half_open_socket,
    "run_stop": driver_faults.run_stop,
    "controller_aborts": driver_faults.controller_aborts,
    "robot_clock_jumps": driver_faults.robot_clock_jumps,
    "stray_stamp_then_silence": input_faults.stray_stamp_then_silence,
    "stray_stamp_then_block": input_faults.stray_stamp_then_block,
    "robot_clock_set_ahead": input_faults.robot_clock_set_ahead,
    "robot_state_ceases": input_faults.robot_state_ceases,
    "arm_status_ceases": input_faults.arm_status_ceases,
    "torso_moves": input_faults.torso_moves,
    "torso_ceases": input_faults.torso_ceases,
    "base_moves": input_faults.base_moves,
    "odometry_ceases": input_faults.odometry_ceases,
    "controller_leaves": peer_faults.controller_leaves,
    "rival_appears": peer_faults.rival_appears,
    "second_driver": peer_faults.second_driver,
    "operator_killed": peer_faults.operator_killed,
}
# On a busy machine commands come late by themselves: so many more attempts than repetitions.
_SPARE_ATTEMPTS: Final = 3


def main(arguments: list[str] | None = None) -> int:
    """Measure all faults, or those of ``--only``."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--only", choices=FAULTS, nargs="+", default=list(FAULTS), metavar="NAME", help=", ".join(FAULTS))
    made.add_argument("--repeat", type=int, default=3, help="repetitions of each fault")
    made.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for the results")
    options = made.parse_args(arguments)
    console, found = Console(stderr=True), machine()
    domain, lock = claim_domain()
    os.environ[DOMAIN_VARIABLE] = str(domain)
    measured: list[Measurement] = []
    problems: dict[str, list[str]] = {}
    missing: list[str] = []
    with lock, tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            problems[name] = _repeat(FAULTS[name], Path(folder) / name, options.repeat, measured)
            for problem in problems[name]:
                console.print(Text(f"{name}: {problem}"), soft_wrap=True)
            missing += [name] * (len(problems[name]) > _SPARE_ATTEMPTS)
            # After each fault: all of them take long.
            content = {"machine": found, "measurements": [asdict(one) for one in measured], "not_measured": problems}
            _write(options.out, content, markdown(measured, missing))
    sys.stdout.write(f"{machine_text(found)}\n\n{markdown(measured, missing)}\n")
    if any(not one.is_within_bound or one.moved_alone or not one.needed for one in measured):
        return 1
    return 2 if missing else 0


def _write(folder: Path, content: Mapping[str, object], table: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "faults.md").write_text(table + "\n", encoding="utf-8")


def _repeat(fault: Fault, folder: Path, times: int, measured: list[Measurement]) -> list[str]:
    """Add ``times`` repetitions to ``measured``; what went wrong in further ones."""
    problems: list[str] = []
    count = len(measured) + times
    while len(measured) < count and len(problems) <= _SPARE_ATTEMPTS:
        try:
            # After a failure in another rig: the old one may be in any state.
            with closing(fault(folder / str(len(problems)))) as repetitions:  # type: ignore[type-var]
                while len(measured) < count:
                    measured.append(next(repetitions))
        except FetchSim2RealError as error:
            problems.append(str(error))
    return problems


if __name__ == "__main__":
    sys.exit(main())
