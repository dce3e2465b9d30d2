"""A ROS domain for a graph that a command starts itself."""

from __future__ import annotations

import os
from typing import IO

from rich.console import Console

from fetch_sim2real.stack.ros_domain import DOMAIN_VARIABLE, claim_domain
from fetch_sim2real.stack.ros_environment import require_ros_environment


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
