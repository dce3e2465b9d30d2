"""ROS domains are claimed between all users of a machine, and nothing in the shared folder can be in the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import pytest

from fetch_sim2real.errors import SetupError
from fetch_sim2real.stack import ros_environment
from fetch_sim2real.stack.ros_environment import DOMAINS, claim_domain

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def as_nobody(call: Callable[[], int]) -> int:
    """What ``call`` returns, 0 to 254, as another user; 255 if it raises."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            status = call()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A folder that every user reaches."""
    own = takewhile(lambda parent: parent.name.startswith(("pytest-", "popen-")), tmp_path.parents)
    for folder in (tmp_path, *own):
        folder.chmod(folder.stat().st_mode | 0o755)
    return tmp_path / "domains"


@needs_root
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_a_second_user_gets_a_domain_of_its_own(shared: Path, mask: int) -> None:
    with umask(mask):
        first, lock = claim_domain(shared, first=7)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    second = as_nobody(lambda: claim_domain(shared, first=7)[0])
    assert second == first + 1, "the first user's lock holds for others too"
    lock.close()
    assert as_nobody(lambda: claim_domain(shared, first=7)[0]) == first, "and no longer than it is held"


@needs_root
def test_the_first_user_gets_what_the_second_has_left(shared: Path) -> None:
    claim_domain(shared, first=7)[1].close()
    with umask(0o077):
        assert as_nobody(lambda: claim_domain(shared, first=8)[0]) == DOMAINS[8]
    domain, lock = claim_domain(shared, first=8)
    lock.close()
    assert domain == DOMAINS[8]


@needs_root
def test_every_user_may_use_the_folder_that_is_used_by_default() -> None:
    _, lock = claim_domain()
    assert as_nobody(lambda: claim_domain()[0]) in DOMAINS
    lock.close()


@needs_root
def test_a_folder_that_another_user_keeps_to_himself_is_named(shared: Path) -> None:
    shared.mkdir(mode=0o755)

    def claim() -> int:
        with pytest.raises(SetupError, match=f"cannot be locked.*{shared}.*ROS_DOMAIN_ID"):
            claim_domain(shared)
        return 0

    assert as_nobody(claim) == 0


@pytest.mark.timeout(20)
def test_what_lies_in_the_way_is_passed_by(tmp_path: Path) -> None:
    """Links, folders and pipes of another user's, who would have us write elsewhere, or wait for ever."""
    def at(index: int) -> Path:
        return tmp_path / f"fetch_sim2real_domain_{DOMAINS[index]}.lock"

    at(0).symlink_to(tmp_path / "elsewhere")
    at(1).mkdir()
    os.mkfifo(at(2))
    domain, lock = claim_domain(tmp_path, first=0)
    lock.close()
    assert domain == DOMAINS[3]
    assert not (tmp_path / "elsewhere").exists()


def test_without_any_place_for_temporary_files_the_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/none']")

    monkeypatch.setattr(ros_environment, "_SHARED_FOLDER", Path("/nonexistent"))
    monkeypatch.setattr(ros_environment.tempfile, "gettempdir", none)
    with pytest.raises(SetupError, match="TMPDIR"):
        claim_domain()
