"""What the environment's variables do to ROS: judged in one place, before ROS is entered.

ROS's own answers to a wrong one are an abort, a message without the variable's name, or silence. Nodes and commands
refuse to enter ROS with ``require_ros_environment``; ``fetch-sim2real doctor`` shows every judgement.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from fetch_sim2real.errors import SetupError

if TYPE_CHECKING:
    from rich.console import Console

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
    """Return a domain that no other holder on this machine has, tried from ``first`` upwards, and its lock.

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
    """Return a TCP port on the loopback interface that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The highest one whose ports exist.
LAST_DOMAIN: Final = 232
MIDDLEWARE_VARIABLE: Final = "RMW_IMPLEMENTATION"
MIDDLEWARE: Final = "rmw_fastrtps_cpp"
LOG_FOLDER: Final = "ROS_LOG_DIR"
# Where ROS keeps its logs: the first of these that is set says where.
_LOG_FOLDERS: Final = ((LOG_FOLDER, ""), ("ROS_HOME", "log"), ("HOME", ".ros/log"))
_OTHER_LOG_FOLDER: Final = f"export {LOG_FOLDER}=/tmp/ros_log"
_CONSOLE_SWITCHES: Final = ("RCUTILS_COLORIZED_OUTPUT", "RCUTILS_LOGGING_USE_STDOUT", "RCUTILS_LOGGING_BUFFERED_STREAM")
_PROFILE_FILES: Final = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


@dataclass(frozen=True)
class Judgement:
    """What one variable says. ``fault`` is what is wrong with it, ``remedy`` the command that helps; empty if nothing.

    A ``grave`` fault keeps the graph from working, or loses images; another is only worth knowing.
    """

    variable: str
    value: str
    fault: str = ""
    remedy: str = ""
    grave: bool = True


def judge_domain(environment: Mapping[str, str]) -> Judgement:
    """Judge the domain's number."""
    value = environment.get(DOMAIN_VARIABLE, "")
    # ROS takes zeros in front for octal numbers.
    if value and not (re.fullmatch(r"0|[1-9][0-9]{0,3}", value) and int(value) <= LAST_DOMAIN):
        fault = f"expected a whole number from 0 to {LAST_DOMAIN} without zeros in front"
        return Judgement(DOMAIN_VARIABLE, value, fault, f"unset {DOMAIN_VARIABLE}")
    if value and int(value) >= DOMAINS.stop:
        fault = f"above {DOMAINS.stop - 1} Linux may have given a domain's ports to another program"
        return Judgement(DOMAIN_VARIABLE, value, fault, f"export {DOMAIN_VARIABLE}={DOMAINS[41]}", grave=False)
    return Judgement(DOMAIN_VARIABLE, value)


def judge_middleware(environment: Mapping[str, str], prefix: str = sys.prefix) -> Judgement:
    """Judge whether the middleware is one that is installed, and the one that images are known to arrive with."""
    value = environment.get(MIDDLEWARE_VARIABLE, "")
    if value in ("", MIDDLEWARE):
        return Judgement(MIDDLEWARE_VARIABLE, value)
    prefixes = [*environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep), prefix]
    index = Path("share/ament_index/resource_index/rmw_typesupport") / value
    is_installed = any(os.path.isfile(Path(each) / index) for each in prefixes if each)
    fault = f"images are only known to arrive with {MIDDLEWARE}" if is_installed else "it is not installed"
    return Judgement(MIDDLEWARE_VARIABLE, value, fault, f"unset {MIDDLEWARE_VARIABLE}", grave=not is_installed)


def judge_discovery(environment: Mapping[str, str]) -> list[Judgement]:
    """Judge whether nodes find each other without a server, and not through the loopback interface alone."""
    lossy = f"with it every second or third image is lost; {DOMAIN_VARIABLE} separates graphs instead"
    alone = "with it nodes find nobody"
    ranges = {"LOCALHOST": lossy, "OFF": alone}
    unknown = f"ROS takes what it does not know for LOCALHOST, and {lossy}"
    local, reach, server = (
        environment.get(name, "").strip()
        for name in ("ROS_LOCALHOST_ONLY", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_DISCOVERY_SERVER")
    )
    faults = {
        "ROS_LOCALHOST_ONLY": (local, "" if local in ("", "0") else lossy),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": (
            reach, "" if reach.upper() in ("", "SUBNET", "SYSTEM_DEFAULT") else ranges.get(reach.upper(), unknown)
        ),
        "ROS_DISCOVERY_SERVER": (
            server, "nodes find each other only where that server runs, and tools not even then" if server else ""
        ),
    }  # fmt: skip
    return [Judgement(name, value, fault, f"unset {name}" if fault else "") for name, (value, fault) in faults.items()]


def judge_profiles(environment: Mapping[str, str]) -> list[Judgement]:
    """Judge whether files of settings for Fast DDS exist."""
    found = []
    for name in _PROFILE_FILES:
        value = environment.get(name, "")
        if value and not (os.path.isfile(value) and os.access(value, os.R_OK)):
            found.append(Judgement(name, value, "no file that can be read", f"unset {name}"))
    return found


def judge_peers(environment: Mapping[str, str]) -> Judgement:
    """Judge whether the machines that nodes are also looked for on can be found."""
    value = environment.get("ROS_STATIC_PEERS", "")
    for peer in filter(None, value.split(";")):
        try:
            socket.getaddrinfo(peer, None)
        except (OSError, UnicodeError):
            fault = f"'{peer}' is neither an address nor the name of a machine known here: no node starts"
            return Judgement("ROS_STATIC_PEERS", value, fault, "unset ROS_STATIC_PEERS")
    return Judgement("ROS_STATIC_PEERS", value)


def judge_security(environment: Mapping[str, str]) -> Judgement:
    """Judge whether keys are there if ROS may talk only encrypted."""
    value = environment.get("ROS_SECURITY_ENABLE", "")
    is_enforced = value == "true" and environment.get("ROS_SECURITY_STRATEGY") == "Enforce"
    if is_enforced and not os.path.isdir(environment.get("ROS_SECURITY_KEYSTORE", "")):
        fault = "no node starts without keys: with ROS_SECURITY_STRATEGY=Enforce, ROS_SECURITY_KEYSTORE is no folder"
        return Judgement("ROS_SECURITY_ENABLE", value, fault, "unset ROS_SECURITY_ENABLE")
    return Judgement("ROS_SECURITY_ENABLE", value)


def judge_console(environment: Mapping[str, str]) -> list[Judgement]:
    """Judge whether switches of what ROS prints are 0 or 1. Of any other value it complains thousands of times."""
    values = {name: environment.get(name, "") for name in _CONSOLE_SWITCHES}
    return [
        Judgement(name, value, "expected 0 or 1", f"unset {name}")
        for name, value in values.items()
        if value not in ("", "0", "1")
    ]


def judge_log_folder(environment: Mapping[str, str]) -> Judgement:
    """Judge whether ROS can write its log files. Only processes that keep a log of their own need it."""
    for name, below in _LOG_FOLDERS:
        if value := environment.get(name, ""):
            folder = Path(os.path.expanduser(value)) / below  # as ROS does
            if _can_be_made(folder):
                return Judgement(name, value)
            fault = f"ROS cannot write its logs into {folder}"
            return Judgement(name, value, fault, _OTHER_LOG_FOLDER)
    return Judgement("HOME", "", "without it ROS knows no folder for its logs", _OTHER_LOG_FOLDER)


def judge_temporary_folder(environment: Mapping[str, str]) -> Judgement:
    """Judge whether files for a moment can be written somewhere."""
    value = environment.get("TMPDIR", "")
    try:
        tempfile.gettempdir()
    except OSError:
        return Judgement("TMPDIR", value, "no folder for temporary files can be written", "export TMPDIR=A_FOLDER")
    if value and not os.access(value, os.W_OK | os.X_OK):
        return Judgement("TMPDIR", value, "no folder that can be written", "unset TMPDIR", grave=False)
    return Judgement("TMPDIR", value)


def ros_judgements(environment: Mapping[str, str]) -> list[Judgement]:
    """Judge every variable that every process of a graph depends on."""
    return [
        judge_domain(environment),
        judge_middleware(environment),
        *judge_discovery(environment),
        judge_peers(environment),
        judge_security(environment),
        *judge_profiles(environment),
        *judge_console(environment),
        judge_temporary_folder(environment),
    ]


def require_ros_environment(environment: Mapping[str, str], *, writes_logs: bool = False) -> None:
    """Raise ``SetupError`` for the first variable with which ROS does not work.

    ``writes_logs`` is for a process whose log ROS writes into files of its own.
    """
    _require(*ros_judgements(environment), *([judge_log_folder(environment)] if writes_logs else []))


def require_importable(environment: Mapping[str, str]) -> None:
    """Raise ``SetupError`` for what has to be right before ROS is imported.

    Then it ends the process if the middleware is not installed, and begins to complain about its own switches.
    """
    _require(judge_middleware(environment), *judge_console(environment))


def _require(*judged: Judgement) -> None:
    for judgement in judged:
        if judgement.fault and judgement.grave:
            raise SetupError(in_words(judgement))


def in_words(judgement: Judgement) -> str:
    """Return a judgement's fault as one line."""
    value = f"is '{judgement.value}'" if judgement.value else "is not set"
    return f"{judgement.variable} {value}: {judgement.fault}; {judgement.remedy}"


def _can_be_made(folder: Path) -> bool:
    """Whether a folder is there to write into, or could be made."""
    for nearest in (folder, *folder.parents):
        try:
            nearest.lstat()
        except FileNotFoundError:
            continue
        except OSError:
            return False
        return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return False


def enter_domain(console: Console) -> IO[str] | None:
    """Set a ROS domain of this run's own, unless the user has chosen one; its lock, to be held until the end.

    ``SetupError`` where ROS does not work, before anything is said or begun.
    """
    require_ros_environment(os.environ)
    if os.environ.get(DOMAIN_VARIABLE):
        return None
    domain, lock = claim_domain()
    os.environ[DOMAIN_VARIABLE] = str(domain)
    console.print(f"[dim]ROS domain {domain}; to look in: {DOMAIN_VARIABLE}={domain} fetch-sim2real check-graph[/]")
    return lock
