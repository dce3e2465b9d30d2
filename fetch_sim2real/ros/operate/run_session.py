"""An operation from start to end: enter the graph, or start a simulated one, do the steps, leave nothing moving."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from fetch_sim2real import graph
from fetch_sim2real.common.stop_request import StopRequest
from fetch_sim2real.operation.log import OperationLog
from fetch_sim2real.ros.client import StackClient
from fetch_sim2real.ros.operate.choices import Choices
from fetch_sim2real.ros.operate.dialogue import LONG_EPISODE_S, Dialogue, SimulatedWorld
from fetch_sim2real.ros.operate.event_publisher import EventPublisher
from fetch_sim2real.ros.operate.steps import Steps
from fetch_sim2real.ros.operate.terminal import Terminal
from fetch_sim2real.ros.operate.topic_monitors import TopicMonitors
from fetch_sim2real.ros.session import RosSession
from fetch_sim2real.stack.launcher import launch
from fetch_sim2real.stack.options import SimGraphOptions
from fetch_sim2real.stack.processes import sim_graph
from fetch_sim2real.stack.ros_environment import DOMAIN_VARIABLE, claim_domain

_START_LIMIT_S = 60.0
_ATTACH_LIMIT_S = 15.0


def wait_for_stack(client: StackClient, monitors: TopicMonitors, limit_s: float) -> None:
    """Wait until policy and driver are there, connected, and have said something; GraphError names who is not."""

    def missing() -> list[str]:
        return client.missing() + monitors.missing()

    client.session.wait_until(lambda: not missing(), limit_s, lambda: " and no ".join(missing()[:3]))


@contextmanager
def entered(choices: Choices, watch: Callable[[], None], limit_s: float | None) -> Iterator[Steps]:
    """Yield the steps on the graph of this ROS domain and the chosen namespace.

    If something goes wrong inside, the arm is stopped.

    Up to ``limit_s`` are waited for the nodes; None waits for nothing but what a step itself needs.
    """
    with RosSession(graph.OPERATOR, watch, namespace=choices.namespace) as session:
        client, monitors = StackClient(session), TopicMonitors(session)
        if limit_s is not None:
            wait_for_stack(client, monitors, limit_s)
        log = OperationLog(choices.log, choices.operator, EventPublisher(session).publish)
        steps = Steps(client, monitors, log, choices.expected)
        try:
            if choices.expected.speed is not None:
                steps.cap_speed(choices.expected.speed)
            yield steps
        finally:
            steps.make_safe()
            client.heartbeat.stop()


def run_dialogue(
    choices: Choices,
    console: Console,
    stop: StopRequest,
    trial_s: float | None,
    simulated_policy: str | None,
    seed: int,
) -> bool:
    """Lead a human through runs, with ``simulated_policy`` in a simulated graph. False if it came to nothing."""
    with ExitStack() as resources:
        watch = stop.check
        if simulated_policy is not None:
            watch = resources.enter_context(_simulated(simulated_policy, choices, stop, console))
        limit_s = _ATTACH_LIMIT_S if simulated_policy is None else _START_LIMIT_S
        console.print("looking for policy and driver")
        steps = resources.enter_context(entered(choices, watch, limit_s))
        terminal = Terminal(steps.client.session, console, choices.assume_yes)
        world = SimulatedWorld(steps.client, seed) if steps.client.is_simulated else None
        return Dialogue(steps, terminal, trial_s, world).run()


@contextmanager
def _simulated(
    policy: str, choices: Choices, stop: StopRequest, console: Console
) -> Iterator[Callable[[], None]]:
    """A simulated graph against the wall clock; what is to be called in every wait."""
    options = SimGraphOptions(policy=policy, lockstep=False, episode_s=LONG_EPISODE_S, mode=choices.expected.mode)
    lock = None
    if not os.environ.get(DOMAIN_VARIABLE):
        # Held until the program ends. In a domain of its own a simulation does not meet a robot.
        domain, lock = claim_domain()
        os.environ[DOMAIN_VARIABLE] = str(domain)
        console.print(f"ROS domain {domain}", style="dim")
    with (
        tempfile.TemporaryDirectory(prefix="fetch_sim2real_") as folder,
        launch(sim_graph(options), Path(folder), hurry=stop.insists) as supervisor,
    ):

        def watch() -> None:
            stop.check()
            supervisor.check()

        yield watch
    if lock is not None:
        lock.close()
