"""The main loop of every node, and its clean end."""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import socket
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final, NoReturn

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from fetch_sim2real.common.option import Option
from fetch_sim2real.common.outputs import print_in_any_encoding
from fetch_sim2real.errors import FetchSim2RealError
from fetch_sim2real.ros.entering import enter_ros
from fetch_sim2real.ros.parameters import Parameters, help_of, names_for_every_node
from fetch_sim2real.stack.ros_arguments import RosArgumentError, check_ros_arguments

# How long a node without work of its own sleeps between events, and so how late it may notice a signal.
IDLE_S: Final = 0.1
# A recorder may have pictures to write, a busy machine be slow; what is still there that long after it was told to end
# waits for something that does not come.
END_LIMIT_S: Final = 30.0
# A closed node has only to leave the graph, which takes a fraction of a second; the middleware may wait for a peer that
# has died, and nothing is lost if the process ends instead.
LEAVE_LIMIT_S: Final = 5.0


class StackNode(Node):
    """A node with a checked parameter table and a main loop that it may do timed work in.

    It ends on a signal, or by itself once it has set ``is_over``.
    """

    def __init__(self, name: str, table: Sequence[Option[Any]]) -> None:
        """``name`` is the contract's; what lies under it there is private to this node, whatever it is renamed to."""
        super().__init__(name)
        self.role = name
        self.is_over = False
        self._posted: deque[Callable[[], None]] = deque()
        # A process is one node: its command line is this node's.
        self.parameters = Parameters(self, table, names_for_every_node(sys.argv, [one.name for one in table]))

    def post(self, work: Callable[[], None]) -> None:
        """Have the main loop do ``work``, in order and soon. May be called in any thread."""
        self._posted.append(work)
        if self.executor is not None:
            # The task does nothing but end the wait for events. An error inside a task ends the process by SIGSEGV
            # (rclpy, issue 1641), without close(); one in the main loop does not.
            self.executor.create_task(_nothing)

    def do_posted(self) -> None:
        """Do what has been posted up to now. Called between events."""
        for _ in range(len(self._posted)):
            self._posted.popleft()()

    def work(self) -> float:
        """Work between events, and return after how many seconds at most to be called again."""
        return IDLE_S

    def close(self) -> None:
        """Close what is open; called once before the node ends."""


def run_node(
    make: Callable[[], StackNode],
    name: str,
    description: str,
    table: Sequence[Option[Any]],
    args: list[str] | None = None,
) -> NoReturn:
    """Be a node until SIGINT or SIGTERM, or until it is over; this process ends with it.

    Its exit status is 0, or 1 after an error, which is printed.

    The process joins the graph before ``make`` is called: import in there what is slow to import.
    """
    print_in_any_encoding()
    arguments = sys.argv if args is None else [name, *args]
    try:
        own = _own_arguments(arguments)
    except RosArgumentError as error:
        sys.exit(_refusal(name, error))
    _parse(own, name, description, table)
    status = 1
    try:
        status = _run(make, name, arguments)
    except BaseException as error:
        traceback.print_exc()
        print(f"{name}: ended by a fault of its own: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # The node is closed, nothing is left to do. What an interpreter and the libraries' destructors still do would
        # wait for threads, and those perhaps for a lock that a killed process held.
        os._exit(status)


def _run(make: Callable[[], StackNode], name: str, arguments: list[str]) -> int:
    told_to_end = False
    node: StackNode | None = None
    thread_errors: deque[BaseException] = deque()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal told_to_end
        told_to_end = True
        if node is None:
            # What is loaded now will not be needed; there is nothing to be ended in order yet.
            raise SystemExit(0)

    def on_thread_error(error: threading.ExceptHookArgs) -> None:
        if error.exc_value is not None:
            thread_errors.append(error.exc_value)

    # A node of which a part has died in silence is not a node that runs: the loop raises what a thread did not catch.
    threading.excepthook = on_thread_error
    try:
        enter_ros(arguments)
    except FetchSim2RealError as error:
        return _refusal(name, error)
    _limit_end_after_signal()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    executor = None
    try:
        # Others take seconds to find a process that joins long after them, and then not all at once; they may as well
        # do so while this one is still loading.
        herald = Node(
            f"{name}_starting", use_global_arguments=False, enable_rosout=False, start_parameter_services=False
        )
        node = make()
        herald.destroy_node()
        executor = EventsExecutor()
        executor.add_node(node)
        # spin() of this executor does not return on a signal.
        while not (told_to_end or node.is_over):
            if thread_errors:
                raise thread_errors.popleft()
            node.do_posted()
            wait_s = node.work()
            executor.spin_once(timeout_sec=max(0.0, min(wait_s, IDLE_S)))
        return 0
    except ExternalShutdownException:
        return 0
    except FetchSim2RealError as error:
        return _refusal(name, error)
    except (Exception, SystemExit):
        # An import that was cut short by the signal may say so in words of its own.
        if node is None and told_to_end:
            return 0
        raise
    finally:
        faulthandler.dump_traceback_later(END_LIMIT_S, exit=True)
        # A second signal, as from a terminal and a launcher at once, must not cut the end short.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.close()
        faulthandler.dump_traceback_later(LEAVE_LIMIT_S, exit=True)
        if executor is not None:
            executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


def _nothing() -> None:
    """What a task does that only wakes the executor."""


def _refusal(name: str, error: FetchSim2RealError) -> int:
    """Say what the user can repair, in one line; the exit status."""
    print(f"{name}: {error}", file=sys.stderr, flush=True)
    return 1


def _own_arguments(arguments: list[str]) -> list[str]:
    """Those after the program's name that are not ROS's. ``RosArgumentError`` where ROS would not take its own."""
    check_ros_arguments(arguments[1:])
    try:
        return remove_ros_args(arguments)[1:]
    except Exception as error:  # of several kinds, none of which has a public name
        raise RosArgumentError(f"ROS refuses its arguments: {' '.join(str(error).split())}") from None


def _limit_end_after_signal() -> None:
    """Cut this process short, with a traceback, if it is still there ``END_LIMIT_S`` after a signal.

    Handlers run in the main thread, and only between its own instructions: one that waits inside a library never sees
    them. The interpreter writes to the socket at once.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)

    def watch() -> None:
        receiver.recv(1)
        faulthandler.dump_traceback_later(END_LIMIT_S, exit=True)
        while receiver.recv(1):
            pass  # a closed socket would make the interpreter complain about every further signal

    threading.Thread(target=watch, name="end_limit", daemon=True).start()


def _parse(arguments: list[str], name: str, description: str, table: Sequence[Option[Any]]) -> None:
    lines = [f"  {help_of(parameter)}" for parameter in table]
    parser = argparse.ArgumentParser(
        prog=name,
        description=f"{description} Parameters are given as: --ros-args -p NAME:=VALUE",
        epilog="parameters:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.parse_args(arguments)
