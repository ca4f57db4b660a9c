"""What the running policy daemon knows, for `usage` and `status`."""

from collections.abc import Iterable
from typing import Any

from pointsman.cli.context import Context
from pointsman.control import Control, ControlError


def state(ctx: Context, counters: Iterable[str]) -> tuple[dict[str, Any], str]:
    """The daemon's answer, or nothing and the reason."""
    try:
        with Control(ctx.config.control_socket) as control:
            return control.ask("state", counters=list(counters)), ""
    except ControlError as error:
        return {"use": {}, "held": {}, "oldest": {}, "moving": {}}, str(error)


def left(windows: Iterable[dict[str, Any]]) -> str:
    """How much may still go, a window at a time: `38 of 50/minute`."""
    return "; ".join(f"{window['left']} of {window['window']}" for window in windows)
