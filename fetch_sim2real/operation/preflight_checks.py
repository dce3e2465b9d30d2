"""The preflight checks of the operator's check list, each judged from plain values: state, reason, next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from fetch_sim2real import graph
from fetch_sim2real.arm.limits import PROFILES
from fetch_sim2real.calibration.camera_file import CameraCalibration
from fetch_sim2real.calibration.in_force import CalibrationInForce
from fetch_sim2real.calibration.trained_range import judge
from fetch_sim2real.graph import JOINT_TRAJECTORY, ROSBRIDGE
from fetch_sim2real.policy.manifest import CameraRecord
from fetch_sim2real.stack.graph_check import wrong_rate_words
from fetch_sim2real.workcell import TORSO_TOLERANCE_M

CheckState = Literal["ok", "warn", "fail", "unknown"]
JOINT_SILENCE_LIMIT_S: Final = 0.5
_JOINT_AGE_LIMIT_S: Final = 0.1
_NEEDS_RESET: Final = ("stopped", "fault")


@dataclass(frozen=True)
class Check:
    """One line of the check list. Only "fail" stands in the way of a run; "unknown" is left to the human."""

    name: str
    state: CheckState
    reason: str
    next_step: str = ""


def check_mode(wanted: str, mode: str, is_simulated: bool) -> Check:
    """Check whether the driver sends to the arm, as the operator means it to."""
    what = "nothing is sent to the arm" if mode == "shadow" else "the arm will move"
    if mode != wanted:
        return Check(
            "mode", "fail", f"the driver runs in mode {mode}, asked for is {wanted}",
            f"start the driver with mode:={wanted}, or operate with --mode {mode}",
        )  # fmt: skip
    return Check("mode", "ok", f"{mode}: {what}" + (" (it is a simulated one)" if is_simulated else ""))


def check_driver(state: str, reason: str) -> Check:
    """Check whether the driver can be enabled from where it is."""
    if not state:
        return Check("driver", "fail", "the driver says nothing on /diagnostics", "start arm_driver, or see its log")
    if state == "active":
        return Check("driver", "fail", "the driver is active: a run is going on", "end it: operate stop, operate reset")
    if state in _NEEDS_RESET:
        return Check("driver", "fail", f"{state}: {reason}", "remove the cause, then: operate reset")
    return Check("driver", "ok", f"{state}: {reason}")


def check_run_stop(robot: str | None, backend: str) -> Check:
    """Check the run-stop. ``robot``: what the back end says of the robot, None if it cannot see it."""
    look = "look at the robot: its run-stop has to be released, and yours within reach"
    if robot is None:
        return Check("run-stop", "unknown", f"the back end '{backend}' cannot see it", look)
    if robot == "ready":
        return Check("run-stop", "ok", "released, the robot is ready")
    if robot == "unknown":
        return Check("run-stop", "fail", "the robot has not reported its state", "check the link to the robot")
    return Check("run-stop", "fail", robot, "clear it at the robot: the arm gets power back when it is released")


def check_controller(starts_from: str | None, backend: str, is_simulated: bool) -> Check:
    """Check the arm's controller. ``starts_from``: what the driver knows of it, None if its back end cannot know."""
    name, advice = "controller", "set interpolate_from_desired_state: true, as in config/controllers.yaml"
    if backend == ROSBRIDGE:
        return Check(name, "ok", "a Fetch's own: it starts new trajectories from the desired state")
    whose = "the simulated one" if is_simulated else "the arm's"
    if starts_from == "desired":
        return Check(name, "ok", f"{whose} starts new trajectories from the desired state")
    if starts_from == "measured":
        reason = f"{whose} starts new trajectories from the measured state: it lags and jerks"
        return Check(name, "fail", reason, advice)
    return Check(
        name, "unknown", "where it starts new trajectories from cannot be seen: no node tells of its parameters", advice
    )


def check_joint_states(silence_s: float | None, rate_hz: float | None) -> Check:
    """Check joint states.

    ``silence_s``: wall time since the last new one, None if none has come; ``rate_hz`` is the arm's.
    """
    step = "check that the robot publishes /joint_states, and that its clock and this machine's agree"
    if silence_s is None:
        return Check("joint states", "fail", "none has come", step)
    if silence_s > JOINT_SILENCE_LIMIT_S:
        return Check("joint states", "fail", f"stale: the last new one came {silence_s:.1f} s ago", step)
    if rate_hz is None:
        return Check("joint states", "fail", "too few to tell their rate", step)
    if words := wrong_rate_words(graph.JOINT_STATES, rate_hz):
        return Check("joint states", "fail", words, step)
    return Check("joint states", "ok", f"fresh, {rate_hz:.0f} Hz")


def check_torso(measured_m: float | None, bundle_m: float | None, world_m: float | None) -> Check:
    """Check the torso's heights [m]: measured, of the bundle, of the driver's world."""
    if measured_m is None:
        return Check("torso", "fail", "no joint state has told its height", "check the robot's /joint_states")
    for whose, height_m in (("the bundle", bundle_m), ("the driver's world", world_m)):
        if height_m is not None and abs(measured_m - height_m) > TORSO_TOLERANCE_M:
            return Check(
                "torso", "fail", f"at {measured_m:.3f} m, {whose} needs {height_m:.3f} m",
                f"bring the torso to {height_m:.3f} m, or correct the world file",
            )  # fmt: skip
    if bundle_m is None or world_m is None:
        return Check("torso", "unknown", f"at {measured_m:.3f} m; bundle or world are not known here")
    return Check("torso", "ok", f"at {measured_m:.3f} m, as bundle and world say")


def check_calibration(
    camera: CameraRecord | None,
    in_force: CalibrationInForce | None,
    given: CameraCalibration | None,
    error: str,
) -> Check:
    """Check which calibration the policy node uses, and that the camera stands where the actor was trained to see from.

    ``given`` is the operator's own file, if any; ``error``: why one of the two cannot be read.
    """
    name, launch = "calibration", "start robot.launch.py with calibration:=FILE"
    if error:
        return Check(name, "fail", error, "fetch-sim2real calibrate-camera")
    source = "none in force" if in_force is None else f"in force: {in_force.file}"
    calibration = given if in_force is None else in_force.calibration
    if calibration is None:
        return Check(
            name, "unknown", f"{source}: the camera is taken to be where it was in training",
            f"fetch-sim2real calibrate-camera, then {launch}",
        )  # fmt: skip
    if in_force is not None and given is not None and given != in_force.calibration:
        return Check(
            name, "fail", f"{source} of {in_force.calibration.date}, given is another of {given.date}",
            f"{launch}, or operate without --calibration",
        )  # fmt: skip
    if in_force is None:
        source += ", given is one"
    if camera is None:
        return Check(name, "unknown", f"{source} of {calibration.date}; the bundle is not known here")
    verdict = judge(camera, calibration.base_T_camera.pose())
    offset_mm = 1e3 * float(np.linalg.norm(verdict.offset.position_m))
    angle_deg = np.rad2deg(verdict.offset.angle_rad)
    words = f"{source} of {calibration.date}: {offset_mm:.0f} mm and {angle_deg:.1f} deg from nominal"
    if verdict.inside and in_force is None:
        step = f"{launch}, so that goals in its frame go by it"
        return Check(name, "warn", f"{words}, within what was trained", step)
    if verdict.inside:
        return Check(name, "ok", f"{words}, within what was trained")
    return Check(name, "fail", f"{words}, outside of what was trained", verdict.advice())


def check_profile(trained: str, driver: str, speed_scale: float) -> Check:
    """Check whether the driver's limits let the actor move as it was trained to."""
    if driver not in PROFILES or trained not in PROFILES:
        return Check("limits", "fail", f"profile '{driver}' or '{trained}' is unknown", f"one of {', '.join(PROFILES)}")
    if PROFILES[trained].is_faster_than(PROFILES[driver]):
        return Check(
            "limits", "fail", f"the actor was trained with '{trained}', faster than the driver's '{driver}'",
            f"start the driver with profile:={trained}, or take an actor trained with '{driver}'",
        )  # fmt: skip
    if speed_scale < 1.0:
        return Check(
            "limits", "warn", f"profile '{driver}', speed capped at {speed_scale:.0%}: slower than in training",
            "fine for a first run; judge success without the cap",
        )  # fmt: skip
    return Check("limits", "ok", f"profile '{driver}', the actor was trained with '{trained}'")


def check_camera_latency(latency_s: Sequence[float], trained_s: tuple[float, float] | None) -> Check:
    """Check the camera's latency. ``latency_s``: age of frames at receipt, from stamp to here."""
    name, step = "camera latency", "check camera, USB and clocks (stamps are compared with this machine's clock)"
    if not latency_s:
        return Check(name, "fail", "no frame has come", "check that the camera streams: fetch-sim2real check-graph")
    return _latency(name, latency_s, trained_s, step)


def check_command_latency(age_s: Sequence[float], trained_s: tuple[float, float] | None) -> Check:
    """Check the latency of commands.

    ``age_s``: age of joint states at receipt, the arm at rest: the part of the way that can be seen without motion.

    What is older than the joint states may be is unfit whatever was trained.
    """
    name, step = "command latency", "check the network to the robot, and that both clocks agree"
    if not age_s:
        return Check(name, "fail", "no joint state has come", step)
    median_s = float(np.median(age_s))
    if median_s > _JOINT_AGE_LIMIT_S or median_s < -0.01:
        return Check(name, "fail", f"joint states are {_ms(median_s)} old when they arrive", step)
    return _latency(name, age_s, None if trained_s is None else (0.0, trained_s[1]), step)


def _latency(name: str, values_s: Sequence[float], trained_s: tuple[float, float] | None, step: str) -> Check:
    median_s, most_s = float(np.median(values_s)), float(np.max(values_s))
    measured = f"{_ms(median_s)} (median of {len(values_s)}, at most {_ms(most_s)})"
    if trained_s is None:
        return Check(name, "unknown", f"{measured}; the bundle is not known here")
    trained = f"trained with {_ms(trained_s[0])} to {_ms(trained_s[1])}"
    if median_s > trained_s[1] + 1e-3:
        return Check(name, "fail", f"{measured}, {trained}", step)
    if median_s < trained_s[0] - 1e-3:
        step = "check what the stamps of the frames mean"
        return Check(name, "warn", f"{measured}, less than it was {trained}", step)
    return Check(name, "ok", f"{measured}, {trained}")


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.0f} ms"


def check_commanders(publishers: Mapping[str, Sequence[str]], backend: str, mode: str) -> Check:
    """Check who commands.

    ``publishers``: names of the nodes that publish each topic, or send goals to each action, that moves the arm.
    """
    # A shadow is announced there too, although nothing comes of it.
    sends: tuple[str, ...] = (graph.ARM_DRIVER,) if backend == JOINT_TRAJECTORY else ()
    expected: dict[str, tuple[str, ...]] = {
        graph.JOINT_COMMAND.name: (graph.POLICY_NODE,),
        graph.ARM_TRAJECTORY.name: sends,
        graph.GRIPPER_TRAJECTORY.name: sends,
        **{action: () for action in graph.ROBOT_ACTIONS},
    }
    for topic, wanted in expected.items():
        there = sorted(publishers.get(topic, ()))
        strangers = [name for name in there if name not in wanted] or there[len(wanted) :]
        if strangers:
            return Check(
                "commanders", "fail",
                f"{topic} is sent to by {', '.join(there)}, expected {', '.join(wanted) or 'nobody'}",
                f"end {', '.join(strangers)}",
            )  # fmt: skip
        if len(there) < len(wanted):
            return Check("commanders", "fail", f"nobody publishes {topic}", f"start {', '.join(wanted)}")
    sender = "nobody sends" if mode == "shadow" else f"{graph.ARM_DRIVER} alone sends"
    if not sends:
        sender += " (what others send in ROS 1 cannot be seen from here)"
    return Check("commanders", "ok", f"{graph.POLICY_NODE} alone commands, {sender}")


def check_start(departure: str | None, mode: str) -> Check:
    """Check where the arm starts. ``departure``: see ``departure_from``; None if it cannot be told."""
    if departure is None:
        return Check("start", "unknown", "where training began is not known here", "bring the arm there yourself")
    if departure and mode == "shadow":
        return Check("start", "warn", departure, "move the arm yourself to see what the actor does from a proper start")
    if departure:
        return Check("start", "fail", departure, "operate to-start, or answer yes when it is offered")
    return Check("start", "ok", "the arm is where training began")
