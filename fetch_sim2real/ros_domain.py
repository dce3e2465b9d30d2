"""A ROS domain for one graph alone, so that graphs on one machine, or a simulation and a robot, never mix."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO, Final

from fetch_sim2real.errors import SetupError

DOMAIN_VARIABLE: Final = "ROS_DOMAIN_ID"
# Domains above 101 use ports that Linux also hands out to anybody; 0 is everybody's default.
DOMAINS: Final = range(1, 102)
LOCK_FOLDER: Final = Path(tempfile.gettempdir()) / "fetch_sim2real_domains"


def claim_domain(folder: Path = LOCK_FOLDER, first: int | None = None) -> tuple[int, IO[str]]:
    """A domain that no other holder on this machine has, tried from ``first`` upwards, and its lock.

    The lock is the kernel's: it goes with the process, however that ends. ``first`` defaults to the process's number,
    which spreads the graphs of different machines on one network, where locks do not reach. Raises ``SetupError`` if
    all are held.
    """
    start = os.getpid() if first is None else first
    folder.mkdir(mode=0o777, exist_ok=True)
    for offset in range(len(DOMAINS)):
        domain = DOMAINS[(start + offset) % len(DOMAINS)]
        try:
            lock = (folder / f"{domain}.lock").open("a")
        except PermissionError:  # another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return domain, lock
    raise SetupError(f"all {len(DOMAINS)} ROS domains are locked in {folder}: end other simulations or test sessions")


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
