"""The log: one function per event, one line each, queue id first, `key=value`.

The lines go where Postfix's own go, so that one grep tells the whole story.
"""

import logging
import os
import re
import socket
import sys
import traceback
from logging.handlers import SysLogHandler
from pathlib import Path

from pointsman.routing.decide import Decision, Message, Refuse, lane_taken
from pointsman.routing.snapshot import Snapshot

_LOG = logging.getLogger("pointsman")
_DELIMITER = re.compile(r'[ ,"]')
_LONGEST = 256  # characters of one value

# Record attributes that we never print, and that cost a look at the calling thread,
# which in a milter callback is not one of Python's own.
logging.logThreads = False
logging.logMultiprocessing = False
logging.logProcesses = False


def start(program: str, where: str) -> None:
    """Send the log to syslog (facility mail), to stderr or to a file."""
    name = f"pointsman/{program}[{os.getpid()}]"
    _LOG.handlers = [_handler(name, where)]
    _LOG.setLevel(logging.INFO)
    _LOG.propagate = False


def _handler(name: str, where: str) -> logging.Handler:
    stamped = logging.Formatter(
        f"%(asctime)s {socket.gethostname()} {name}: %(message)s", "%b %d %H:%M:%S"
    )
    handler: logging.Handler
    if where == "syslog" and Path("/dev/log").exists():
        handler = SysLogHandler("/dev/log", SysLogHandler.LOG_MAIL)
        handler.setFormatter(logging.Formatter(f"{name}: %(message)s"))
        return handler
    if where in ("syslog", "stderr"):
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = logging.FileHandler(where, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(stamped)
    return handler


def plain(text: str, longest: int = _LONGEST) -> str:
    """Printable text on one line: nobody writes a log line of their own through ours."""
    shown = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= longest else f"{shown[:longest]}..."


def decided(queue_id: str, snapshot: Snapshot, message: Message, decision: Decision) -> None:
    """Log what became of a message, and why."""
    step, route = decision.step, decision.route
    pairs = {
        "from": f"<{plain(message.envelope.strip('<>'))}>",
        "header_from": plain(" ".join(message.froms).strip()),
        "client": message.client.address or "",
        "login": plain(message.client.login),
        "nrcpt": str(len(message.recipients)),
        "outbound": str(len(decision.outbound)),
    }
    if route is not None:
        pairs |= {"agency": route.agency, "connector": route.connector, "by": route.by}
        pairs |= {"key": plain(route.key), "lane": lane_taken(snapshot, decision)}
    pairs |= {"way": step.way, "revision": str(snapshot.revision)}
    if isinstance(step, Refuse):
        pairs["reply"] = plain(f"{step.code} {step.status} {step.text}")
    write = _LOG.warning if isinstance(step, Refuse) else _LOG.info
    write("%s: %s", queue_id, ", ".join(f"{k}={_quoted(v)}" for k, v in pairs.items() if v))


def _quoted(value: str) -> str:
    if not _DELIMITER.search(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def failed(queue_id: str, error: BaseException) -> None:
    """Log a fault of our own, with its traceback on the same line."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    trace = " | ".join(line.strip() for line in lines)
    _LOG.error("%s: error=internal, %s", queue_id, plain(trace, 4000))


def not_configured(queue_id: str) -> None:
    """Log a message that came before the first apply."""
    _LOG.warning(
        '%s: way=deferred, reply="451 4.3.0 not configured yet: run pointsman apply"', queue_id
    )


def snapshot_loaded(snapshot: Snapshot) -> None:
    """Log that a daemon decides by another revision now."""
    _LOG.info("snapshot revision=%d, links=%d", snapshot.revision, len(snapshot.links))


def snapshot_unreadable(path: Path, error: Exception) -> None:
    """Log that the last good snapshot goes on serving."""
    _LOG.error("snapshot %s can't be read, the last good one serves: %s", path, plain(str(error)))


def applied(revision: int, changes: int, moved: int) -> None:
    """Log an apply of the agent's."""
    _LOG.info("applied revision=%d, changes=%d, moved=%d", revision, changes, moved)


def agent_trouble(error: Exception) -> None:
    """Log what keeps the agent from its work; mail goes on as last applied."""
    _LOG.error("agent: %s", plain(str(error), 1000))


def agent_well() -> None:
    """Log that the trouble is over."""
    _LOG.info("agent: well again")


def started(what: str) -> None:
    """Log that a program is at work."""
    _LOG.info("started %s", what)
