"""The dialogue: check list, goal, enable, start, stop, label, and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from fetch_sim2real import graph
from fetch_sim2real.arm.kinematics import grip_position
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.operation.log import OUTCOMES
from fetch_sim2real.ros.client import StackClient
from fetch_sim2real.ros.node_parameters import set_parameters
from fetch_sim2real.ros.operate.check_list import CheckList, print_check_list
from fetch_sim2real.ros.operate.steps import Steps
from fetch_sim2real.ros.operate.terminal import Terminal
from fetch_sim2real.types import Goal

DEFAULT_TRIAL_S: Final = 10.0
_WORDS_EVERY_S: Final = 1.0
# Long enough for an afternoon at the terminal: when an episode is over, the world stands still.
LONG_EPISODE_S: Final = 36_000.0


class SimulatedWorld:
    """The simulated world as the operator meets it: somebody has to put the block back, and let time run."""

    def __init__(self, client: StackClient, seed: int) -> None:
        self._client = client
        self.seed = seed

    def begin(self) -> None:
        """Put arm and object at the start of ``seed`` and let time run; the next one begins with the next seed."""
        set_parameters(self._client.session, graph.SIM_BRIDGE, {"seed": self.seed})
        self._client.demand(graph.SIM_RESET)
        self._client.demand(graph.SIM_RESUME)
        self.seed += 1
        # Until joint states and frames of the new time are what is heard.
        self._client.session.spin(0.5)


class Dialogue:
    """Leads a human through one run after the other."""

    def __init__(self, steps: Steps, terminal: Terminal, trial_s: float | None, world: SimulatedWorld | None) -> None:
        """``trial_s``: the longest that a run may take; ``world``: there is one only in simulation."""
        self._steps, self._terminal, self._world = steps, terminal, world
        self._trial_s = trial_s or steps.stack_info.trial_s or DEFAULT_TRIAL_S
        self._print = terminal.console.print

    def run(self) -> bool:
        """Serve the human until it ends; False if what was asked for could not be done."""
        self._steps.hold()
        while True:
            if self._world is not None:
                self._put_back(self._world)
            if not self._get_ready():
                return False
            if not self._state_goal():
                return True
            if self._terminal.yes("Enable the arm? It holds until the start."):
                self._one_run()
            if not self._terminal.yes("Another run?"):
                return True

    def _put_back(self, world: SimulatedWorld) -> None:
        if self._terminal.yes(f"Simulation: put the world to the start of seed {world.seed} and let it run?"):
            world.begin()

    # -- before --------------------------------------------------------------------------------------------------

    def _get_ready(self) -> bool:
        """Repeat the check list until nothing stands in the way; False if the human gives up."""
        while True:
            self._print("Check list", style="bold")
            check_list = self._steps.check()
            print_check_list(check_list, self._terminal.console)
            if not check_list.failed:
                return True
            if self._offer_move(check_list):
                continue
            answer = self._terminal.line("Not ready. Enter: check again; r: reset a stopped driver; q: quit.")
            if answer is None or answer.lower().startswith("q"):
                return False
            if answer.lower().startswith("r"):
                self._try(self._steps.reset)

    def _offer_move(self, check_list: CheckList) -> bool:
        """If the arm's place is all that is wrong, offer to change it; whether something was done."""
        if [check.name for check in check_list.failed] != ["start"]:
            return False
        try:
            move = self._steps.plan_to_start()
        except FetchSim2RealError as error:
            self._print(f"  {error}", style="yellow", highlight=False, soft_wrap=True)
            return False
        question = f"Move the arm there slowly (clear of table and robot, about {move.least_duration_s:.0f} s or more)?"
        if not self._terminal.yes(question):
            return False
        with self._terminal.any_key() as pressed:
            self._print("  moving; any key stops it, Ctrl-C ends everything")
            try:
                arrived, reason = self._steps.move(move, pressed)
            except FetchSim2RealError as error:
                self._print(f"  {error}", style="red", highlight=False, soft_wrap=True)
                return False
        self._print("  there" if arrived else f"  stopped: {reason}", style="green" if arrived else "red")
        return arrived

    def _state_goal(self) -> bool:
        """Ask for goals until one is accepted; False if the human gives up."""
        manifest = None if self._steps.stack_info.bundle is None else self._steps.stack_info.bundle.manifest
        frame = graph.BASE_FRAME if manifest is None else manifest.goal.frame
        if manifest is not None:
            lower, upper = manifest.goal.lower_m, manifest.goal.upper_m
            self._print(f"Goals of {manifest.task}: {_place(lower)} to {_place(upper)} m in {frame}", highlight=False)
        while True:
            answer = self._terminal.line(f"Goal: x y z [frame, {frame} unless said otherwise]; q: quit.")
            if answer is None or answer.lower() in ("q", "quit"):
                return False
            goal = parse_goal(answer, frame)
            if goal is None:
                self._print("  three numbers in metres, and a frame if it is another one", style="yellow")
                continue
            accepted, reason = self._steps.goal(goal)
            if accepted:
                self._print("  accepted", style="green")
                return True
            self._print(f"  refused: {reason}", style="red", highlight=False, soft_wrap=True)

    # -- the run -------------------------------------------------------------------------------------------------

    def _one_run(self) -> None:
        if not self._try(self._steps.enable):
            return
        if not self._terminal.yes(f"Start? Any key stops the arm; after {self._trial_s:g} s it stops by itself."):
            self._steps.stop("not started")
            self._steps.reset()
            return
        if not self._try(self._steps.start):
            self._steps.stop("not started")
            self._steps.reset()
            return
        reason = self._watch()
        self._steps.stop(reason)
        self._print(f"  stopped: {reason}")
        self._label()
        self._try(self._steps.reset)

    def _watch(self) -> str:
        """Let the policy act; why it came to an end."""
        client, begin_s = self._steps.client, time.monotonic()
        self._steps.monitors.shadow.forget()
        words_s = begin_s
        with self._terminal.any_key() as pressed:
            while True:
                client.session.spin(0.05)
                now_s = time.monotonic()
                if pressed():
                    return "a key was pressed"
                # A shadow is put back onto the arm, which does not follow it, again and again.
                if not client.is_followed and self._steps.expected.mode != "shadow":
                    return f"the driver does not follow any more: {client.last_outcome}"
                if now_s - begin_s >= self._trial_s:
                    return f"{self._trial_s:g} s are over"
                if now_s - words_s >= _WORDS_EVERY_S:
                    words_s = now_s
                    self._print(f"  {now_s - begin_s:4.0f} s  {self._words()}", highlight=False)

    def _words(self) -> str:
        shadow = self._steps.monitors.shadow
        if shadow.count == 0 or shadow.end is None or self._steps.stack_info.workcell is None:
            return self._steps.client.last_outcome
        grip_m = grip_position(shadow.end, self._steps.stack_info.workcell.torso_height_m)
        return f"shadow: {shadow.count} not sent, the last would end with the gripper at {_place(grip_m)} m"

    def _label(self) -> None:
        initials = {name[0]: name for name in OUTCOMES}
        while True:
            answer = self._terminal.line("What happened? s: success, f: failure, u: unclear.")
            if answer is None:
                answer = "u"
            if answer[:1].lower() in initials:
                break
        note = self._terminal.line("Note:")
        self._steps.label(initials[answer[:1].lower()], note or "")

    def _try(self, step: Callable[[], None]) -> bool:
        """Do a step; False after telling why it did not work."""
        try:
            step()
        except FetchSim2RealError as error:
            self._print(f"  {error}", style="red", highlight=False, soft_wrap=True)
            return False
        return True


def _place(point_m: Iterable[float]) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in point_m) + ")"


def parse_goal(text: str, frame: str) -> Goal | None:
    """Return the goal in a line ``x y z [frame]``; None if it is none."""
    words = text.replace(",", " ").split()
    try:
        position_m = np.array([float(word) for word in words[:3]])
    except ValueError:
        return None
    if len(position_m) != 3 or len(words) > 4:
        return None
    return Goal(words[3] if len(words) == 4 else frame, position_m)
