"""A node's process ends when it is told to, whatever it was doing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from fetch_sim2real.ros.main_loop import IDLE_S

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parent.parent

TOLD_WHILE_LOADING = """
import os, signal
from fetch_sim2real.ros.main_loop import run_node

def make():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except SystemExit:
        raise ImportError("initialization failed")  # as extension modules say it

run_node(make, "node", "A node.", ())
"""

FAILS_WHILE_LOADING = """
from fetch_sim2real.ros.main_loop import run_node

def make():
    raise ImportError("no such library")

run_node(make, "node", "A node.", ())
"""

HANGS_AT_THE_END = """
import time
from fetch_sim2real.ros import main_loop

main_loop.END_LIMIT_S = 0.5

class Node(main_loop.StackNode):
    def work(self):
        self.is_over = True
        return 0.0

    def close(self):
        time.sleep(60.0)

main_loop.run_node(lambda: Node("node", ()), "node", "A node.", ())
"""


HANGS_WHEN_IT_LEAVES = """
import time
from fetch_sim2real.ros import main_loop

main_loop.LEAVE_LIMIT_S = 0.5

class Node(main_loop.StackNode):
    def work(self):
        self.is_over = True
        return 0.0

    def close(self):
        print("closed", flush=True)

    def destroy_node(self):
        time.sleep(60.0)  # as the middleware does that waits for a peer

main_loop.run_node(lambda: Node("node", ()), "node", "A node.", ())
"""

HANGS_WHEN_TOLD = """
import os, signal, time
from fetch_sim2real.ros import main_loop

main_loop.END_LIMIT_S = 0.5

class Node(main_loop.StackNode):
    def work(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60.0)  # goes on after a signal, as a library's lock does
        return 0.0

main_loop.run_node(lambda: Node("node", ()), "node", "A node.", ())
"""

LEAVES_A_THREAD = """
import threading, time
from fetch_sim2real.ros import main_loop

class Node(main_loop.StackNode):
    def work(self):
        threading.Thread(target=time.sleep, args=(60.0,)).start()
        self.is_over = True
        return 0.0

    def close(self):
        print("closed")

main_loop.run_node(lambda: Node("node", ()), "node", "A node.", ())
"""

FAILS_IN_POSTED_WORK = """
import threading
from fetch_sim2real.ros import main_loop

class Node(main_loop.StackNode):
    def work(self):
        threading.Thread(target=self.post, args=(self.fail,)).start()
        return 0.1

    def fail(self):
        raise ValueError("a fault of ours")

    def close(self):
        print("closed")

main_loop.run_node(lambda: Node("node", ()), "node", "A node.", ())
"""

POSTS = """
import threading, time
from fetch_sim2real.ros import main_loop

class Node(main_loop.StackNode):
    def __init__(self):
        super().__init__("node", ())
        self.done, self.delays_s = [], []
        threading.Thread(target=self.send, daemon=True).start()

    def send(self):
        while self.executor is None:
            time.sleep(0.01)
        for number in range(20):
            self.post(lambda number=number, sent_s=time.monotonic(): self.note(number, sent_s))
            time.sleep(0.02)

    def note(self, number, sent_s):
        self.done.append(number)
        self.delays_s.append(time.monotonic() - sent_s)
        self.is_over = len(self.done) == 20

    def close(self):
        print(",".join(map(str, self.done)), sorted(self.delays_s)[10], sep=";")

main_loop.run_node(Node, "node", "A node.", ())
"""

FAILS_IN_A_THREAD = FAILS_IN_POSTED_WORK.replace("target=self.post, args=(self.fail,)", "target=self.fail")


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=50.0
    )


def test_told_while_it_still_loads_it_ends_without_complaint() -> None:
    ended = run(TOLD_WHILE_LOADING)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_fails_by_itself_while_loading_is_shown() -> None:
    ended = run(FAILS_WHILE_LOADING)
    assert ended.returncode == 1 and "no such library" in ended.stderr


def test_an_end_that_hangs_is_cut_short_and_says_where() -> None:
    ended = run(HANGS_AT_THE_END)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr and "in close" in ended.stderr


def test_a_closed_node_that_hangs_in_the_middleware_is_cut_short_and_says_where() -> None:
    ended = run(HANGS_WHEN_IT_LEAVES)
    assert (ended.returncode, ended.stdout) == (1, "closed\n")
    assert "Timeout" in ended.stderr and "in destroy_node" in ended.stderr


def test_work_that_does_not_return_after_a_signal_is_cut_short_and_says_where() -> None:
    ended = run(HANGS_WHEN_TOLD)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr and "in work" in ended.stderr


def test_a_closed_node_waits_for_no_thread() -> None:
    ended = run(LEAVES_A_THREAD)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")


@pytest.mark.parametrize("script", [FAILS_IN_POSTED_WORK, FAILS_IN_A_THREAD], ids=["posted work", "thread"])
def test_a_fault_of_ours_ends_the_node_in_order_wherever_it_happens(script: str) -> None:
    ended = run(script)
    assert (ended.returncode, ended.stdout) == (1, "closed\n")
    assert "Traceback" in ended.stderr
    assert ended.stderr.endswith("node: ended by a fault of its own: ValueError: a fault of ours\n")


def test_posted_work_is_done_soon_and_in_order() -> None:
    ended = run(POSTS)
    numbers, slowest_s = ended.stdout.split(";")
    assert numbers == ",".join(map(str, range(20)))
    assert float(slowest_s) < 0.5 * IDLE_S, "woken, and not only found when the loop came by"
