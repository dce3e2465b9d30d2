"""A node's process ends when it is told to, whatever it was doing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parent.parent

TOLD_WHILE_LOADING = """
import os, signal
from node_support.main_loop import run_node

def make():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except SystemExit:
        raise ImportError("initialization failed")  # as extension modules say it

run_node(make, "node", "A node.", ())
"""

FAILS_WHILE_LOADING = """
from node_support.main_loop import run_node

def make():
    raise ImportError("no such library")

run_node(make, "node", "A node.", ())
"""

HANGS_AT_THE_END = """
import time
from node_support import main_loop

main_loop.END_LIMIT_S = 0.5

class Node(main_loop.StackNode):
    def work(self):
        self.is_over = True
        return 0.0

    def close(self):
        time.sleep(60.0)

main_loop.run_node(lambda: Node("node", ()), "node", "A node.", ())
"""


HANGS_WHEN_TOLD = """
import os, signal, time
from node_support import main_loop

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
from node_support import main_loop

class Node(main_loop.StackNode):
    def work(self):
        threading.Thread(target=time.sleep, args=(60.0,)).start()
        self.is_over = True
        return 0.0

    def close(self):
        print("closed")

main_loop.run_node(lambda: Node("node", ()), "node", "A node.", ())
"""


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


def test_work_that_does_not_return_after_a_signal_is_cut_short_and_says_where() -> None:
    ended = run(HANGS_WHEN_TOLD)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr and "in work" in ended.stderr


def test_a_closed_node_waits_for_no_thread() -> None:
    ended = run(LEAVES_A_THREAD)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")
