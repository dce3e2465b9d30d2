"""Child processes: they are watched, ended in order, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.common.supervision import Child, Patience, Supervisor
from fetch_sim2real.errors import GraphError
from fetch_sim2real.stack.launcher import child_of, write_parameters
from fetch_sim2real.stack.processes import NodeProcess

pytestmark = pytest.mark.timeout(40)

# Says that it is up, notes the time of SIGINT, and ends on it.
POLITE = """
import signal, sys, time
def end(number, frame):
    print("ended at", time.monotonic(), flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, end)
print("up", flush=True)
while True: time.sleep(0.05)
"""
DEAF = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)
print("up", flush=True)
while True: time.sleep(0.05)
"""
PARENT_OF_DEAF = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-c", {DEAF!r}])
print("child", child.pid, flush=True)
time.sleep(60)
"""


def child(name: str, code: str, stop_rank: int = 0, required: bool = True) -> Child:
    return Child(name, [sys.executable, "-S", "-c", code], {}, stop_rank, required)


def wait_for(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def wait_for_output(supervisor: Supervisor, name: str, text: str) -> str:
    wait_for(lambda: text in supervisor.log_tail(name))
    return supervisor.log_tail(name)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_children_run_write_logs_and_are_gone_afterwards(tmp_path: Path) -> None:
    with Supervisor([child("a", POLITE), child("b", POLITE)], tmp_path / "logs") as supervisor:
        for name in ("a", "b"):
            wait_for_output(supervisor, name, "up")
        supervisor.check()
        pids = supervisor.pids()
        assert all(map(is_running, pids.values()))
    assert not any(map(is_running, pids.values()))
    assert supervisor.pids() == {}


def test_children_end_rank_after_rank(tmp_path: Path) -> None:
    children = [child("last", POLITE, 2), child("first", POLITE, 0), child("middle", POLITE, 1)]
    with Supervisor(children, tmp_path) as supervisor:
        for each in children:
            wait_for_output(supervisor, each.name, "up")
    ended = {each.name: float(supervisor.log_tail(each.name).split()[-1]) for each in children}
    assert sorted(ended, key=lambda name: ended[name]) == ["first", "middle", "last"]


def test_a_child_that_dies_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    dying = child("doomed", "raise SystemExit('the table is on fire')")
    with Supervisor([child("fine", POLITE), dying], tmp_path) as supervisor:
        with pytest.raises(GraphError, match=r"(?s)'doomed' ended with status 1.*the table is on fire") as caught:
            supervisor.wait_until(lambda: False, 10.0, lambda: "answer")
        assert str(supervisor.log_path("doomed")) in str(caught.value)


def test_a_killed_child_is_named_with_the_signal(tmp_path: Path) -> None:
    with Supervisor([child("victim", POLITE)], tmp_path) as supervisor:
        wait_for_output(supervisor, "victim", "up")
        os.kill(supervisor.pids()["victim"], signal.SIGKILL)
        with pytest.raises(GraphError, match="'victim' was ended by SIGKILL"):
            supervisor.wait_until(lambda: False, 10.0, lambda: "answer")


def test_the_end_of_an_optional_child_is_no_failure(tmp_path: Path) -> None:
    with Supervisor([child("extra", "pass", required=False)], tmp_path) as supervisor:
        wait_for(lambda: not is_running(supervisor.pids()["extra"]))
        supervisor.check()


def test_waiting_in_vain_says_for_what(tmp_path: Path) -> None:
    with (
        Supervisor([child("a", POLITE)], tmp_path) as supervisor,
        pytest.raises(GraphError, match="still no camera images"),
    ):
        supervisor.wait_until(lambda: False, 0.1, lambda: "camera images")


def test_a_deaf_child_is_killed_with_its_own_children(tmp_path: Path) -> None:
    children = [child("deaf", DEAF), child("parent", PARENT_OF_DEAF)]
    with Supervisor(children, tmp_path, Patience(interrupt_s=0.2, terminate_s=0.2)) as supervisor:
        wait_for_output(supervisor, "deaf", "up")
        grandchild = int(wait_for_output(supervisor, "parent", "child").split("child")[1].split()[0])
        wait_for_output(supervisor, "parent", "up")
        pids = [*supervisor.pids().values(), grandchild]
        assert all(map(is_running, pids))
        started = time.monotonic()
    assert time.monotonic() - started < 3.0
    wait_for(lambda: not any(map(is_running, pids)), 2.0)


def test_a_hurry_cuts_the_patience_short(tmp_path: Path) -> None:
    with Supervisor([child("deaf", DEAF)], tmp_path, Patience(30.0, 30.0), hurry=lambda: True) as supervisor:
        wait_for_output(supervisor, "deaf", "up")
        pid = supervisor.pids()["deaf"]
        started = time.monotonic()
    assert time.monotonic() - started < 2.0
    assert not is_running(pid)


def test_a_command_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    missing = Child("missing", ["/no/such/program"], {}, 0)
    supervisor = Supervisor([child("a", POLITE), missing], tmp_path)
    with pytest.raises(FileNotFoundError), supervisor:
        pass
    assert supervisor.pids() == {}


def test_children_are_not_deaf_to_sigint_when_the_parent_is(tmp_path: Path) -> None:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sleeper = child("sleeper", "import time; print('up', flush=True); time.sleep(60)")
        with Supervisor([sleeper], tmp_path, Patience(interrupt_s=20.0)) as supervisor:
            wait_for_output(supervisor, "sleeper", "up")
            started = time.monotonic()
        assert time.monotonic() - started < 3.0
    finally:
        signal.signal(signal.SIGINT, previous)


# A program that does what `fetch-sim2real sim` does: children, and a loop that looks at the flag.
PROGRAM = f"""
import sys, time
from pathlib import Path
from fetch_sim2real.common.stop_request import StopRequest, StopRequestedError
from fetch_sim2real.common.supervision import Child, Patience, Supervisor
children = [
    Child("polite", [sys.executable, "-S", "-c", {POLITE!r}], {{}}),
    Child("deaf", [sys.executable, "-S", "-c", {DEAF!r}], {{}}, 1),
]
with StopRequest() as stop, Supervisor(children, Path(sys.argv[1]), Patience(0.5, 30.0), stop.insists) as supervisor:
    print(*supervisor.pids().values(), flush=True)
    try:
        while True:
            time.sleep(0.05)
            stop.check()
    except StopRequestedError as error:
        print(error, flush=True)
"""


def start_program(tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    pids = [int(word) for word in program.stdout.readline().split()]
    for name in ("polite", "deaf"):
        wait_for(lambda name=name: "up" in (tmp_path / f"{name}.log").read_text())  # type: ignore[misc]
    assert len(pids) == 2 and all(map(is_running, pids))
    return program, pids


def test_two_interrupts_leave_nothing(tmp_path: Path) -> None:
    program, pids = start_program(tmp_path)
    program.send_signal(signal.SIGINT)
    wait_for(lambda: not is_running(pids[0]))
    assert is_running(pids[1]), "the deaf one is given its time at first"
    program.send_signal(signal.SIGINT)
    output, _ = program.communicate(timeout=10)
    assert program.returncode == 0
    assert "stopped by SIGINT" in output
    assert not any(map(is_running, pids))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux' kernel ends the children of a killed parent")
def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program, pids = start_program(tmp_path)
    program.kill()
    program.communicate(timeout=10)
    try:
        wait_for(lambda: not is_running(pids[0]))
    finally:
        os.kill(pids[1], signal.SIGKILL)  # it ignores the kernel's SIGTERM, by construction


def test_signals_are_counted_and_handlers_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    notes: list[str] = []
    with StopRequest(lambda: notes.append("stopping")) as stop:
        stop.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StopRequestedError, match="SIGTERM") as caught:
            stop.check()
        assert caught.value.signal_number == signal.SIGTERM
        assert not stop.insists()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.insists()
    assert notes == ["stopping"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_parameters_survive_the_way_into_the_node(tmp_path: Path) -> None:
    parameters = {"text": "12", "flag": True, "ratio": 1.0, "count": 3, "json": '{"a": "it\'s"}', "empty": ""}
    process = NodeProcess("some_node", "some_name", parameters, stop_rank=0)
    path = write_parameters(process, tmp_path)
    read = yaml.safe_load(path.read_text())["some_name"]["ros__parameters"]
    assert read == parameters
    assert {name: type(value) for name, value in read.items()} == {n: type(v) for n, v in parameters.items()}


def test_a_node_is_run_by_this_interpreter_under_its_name(tmp_path: Path) -> None:
    process = NodeProcess("some_node", "some_name", {}, stop_rank=2, required=False, environment={"A": "b"})
    made = child_of(process, tmp_path / "p.yaml")
    assert made.command[:3] == [sys.executable, "-m", "some_node.main"]
    assert "__node:=some_name" in made.command and str(tmp_path / "p.yaml") in made.command
    assert (made.name, made.stop_rank, made.required) == ("some_name", 2, False)
    assert made.environment["A"] == "b"
