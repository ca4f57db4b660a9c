"""Gives up root where a daemon does not need it."""

import os
import pwd

from pointsman.config import Config
from pointsman.errors import PointsmanError


def become(config: Config) -> None:
    """Go on as the unprivileged account, if we are root."""
    if os.geteuid() != 0:
        return
    try:
        account = pwd.getpwnam(config.user)
    except KeyError:
        raise PointsmanError(f"there is no account {config.user}: run `pointsman setup`") from None
    os.initgroups(config.user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.environ["HOME"] = account.pw_dir  # libpq looks there, and must not meet root's
