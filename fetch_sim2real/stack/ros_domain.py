"""A ROS domain for one graph alone, so that graphs on one machine, or a simulation and a robot, never mix."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from fetch_sim2real.errors import SetupError

DOMAIN_VARIABLE: Final = "ROS_DOMAIN_ID"
# Domains above 101 use ports that Linux also hands out to anybody; 0 is everybody's default.
DOMAINS: Final = range(1, 102)
# One place for all users of a machine, whatever their TMPDIR. Everybody may make files there, and only their own can
# be removed.
_SHARED_FOLDER: Final = Path("/tmp")
_SHARED_FOLDER_MODE: Final = 0o1777
# Others need no more than to open it: the lock is the kernel's.
_LOCK_MODE: Final = 0o644


def claim_domain(folder: Path | None = None, first: int | None = None) -> tuple[int, IO[str]]:
    """A domain that no other holder on this machine has, tried from ``first`` upwards, and its lock.

    The lock is the kernel's: it goes with the process, however that ends. It holds between users, by files in
    ``folder``, by default one that all users share. ``first`` defaults to the process's number, which spreads the
    graphs of different machines on one network, where locks do not reach. Raises ``SetupError`` if all are held, or no
    lock file can be made.
    """
    start = os.getpid() if first is None else first
    folder = _lock_folder() if folder is None else _made(folder)
    refused: OSError | None = None
    for offset in range(len(DOMAINS)):
        domain = DOMAINS[(start + offset) % len(DOMAINS)]
        try:
            lock = _open_lock(folder / f"fetch_sim2real_domain_{domain}.lock")
        except OSError as error:  # in somebody's way, by accident or on purpose: others are left
            refused = error
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        return domain, lock
    why = "" if refused is None else f" or cannot be locked ({refused})"
    raise SetupError(
        f"all {len(DOMAINS)} ROS domains are held in {folder}{why}: end other simulations or test sessions, or choose "
        f"one yourself with {DOMAIN_VARIABLE}"
    )


def _lock_folder() -> Path:
    if os.access(_SHARED_FOLDER, os.W_OK | os.X_OK):
        return _SHARED_FOLDER
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise SetupError(
            f"no folder for temporary files can be written ({error}): free space in {_SHARED_FOLDER}, or set TMPDIR to "
            "a folder that you may write to"
        ) from None


def _made(folder: Path) -> Path:
    """``folder``; made for all users, whatever the umask, if it was not there."""
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(_SHARED_FOLDER_MODE)
    return folder


def _open_lock(path: Path) -> IO[str]:
    """The lock file at ``path``, made if it is not there; never what a link leads to, nor what would block.

    In folders that all may write to, Linux refuses to open another user's file by a call that could also make it
    (``fs.protected_regular``). So it is made by one call and opened by another.
    """
    with suppress(FileExistsError):
        made = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _LOCK_MODE)
        os.fchmod(made, _LOCK_MODE)
        return os.fdopen(made)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor)


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
