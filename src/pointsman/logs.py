"""The log: one function per event, one line each, queue id first, `key=value`.

The lines go where Postfix's own go, so that one grep tells the whole story.
"""

import re
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path

from pointsman.routing.decide import Decision, Message, Refuse, lane_taken
from pointsman.routing.snapshot import Snapshot
from pointsman.sink import ERROR, INFO, WARNING, Sink

_DELIMITER = re.compile(r'[ ,"]')
_LONGEST = 256  # characters of one value

_sinks: list[Sink] = []


def start(program: str, where: str) -> None:
    """Send the log to syslog (facility mail), to stderr or to a file."""
    sink = Sink(program, where)
    for former in _sinks:
        former.close()
    _sinks[:] = [sink]


def _write(level: int, text: str) -> None:
    for sink in _sinks:
        sink.write(level, text)


def plain(text: str, longest: int = _LONGEST) -> str:
    """Printable text on one line: nobody writes a log line of their own through ours."""
    shown = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= longest else f"{shown[:longest]}..."


def decided(
    queue_id: str,
    snapshot: Snapshot,
    message: Message,
    decision: Decision,
    rate: tuple[str, str] = ("", ""),
) -> None:
    """Log what became of a message, and why; `rate` is what the policy daemon said."""
    step, route = decision.step, decision.route
    pairs = {
        "observe": "yes" if snapshot.observe else "",
        "from": f"<{plain(message.envelope.strip('<>'))}>",
        "header_from": plain(" ".join(message.froms).strip()),
        "client": message.client.address or "",
        "login": plain(message.client.login),
        "nrcpt": str(len(message.recipients)),
        "outbound": str(len(decision.outbound)),
    }
    if route is not None:
        pairs |= {"agency": route.agency, "connector": route.connector, "by": route.by}
        lane, taken = lane_taken(snapshot, decision), snapshot.taken(route.connector)
        pairs |= {"key": plain(route.key), "turn": route.turn, "lane": lane}
        if taken != route.connector and lane == snapshot.transport_of(taken):
            pairs["diverted"] = taken
    pairs |= {"way": step.way, "rate": rate[0], "because": plain(rate[1])}
    pairs["revision"] = str(snapshot.revision)
    if isinstance(step, Refuse):
        pairs["reply"] = plain(f"{step.code} {step.status} {step.text}")
    refused = isinstance(step, Refuse) and not snapshot.observe
    _write(WARNING if refused else INFO, f"{queue_id}: {_joined(pairs)}")


def _joined(pairs: Mapping[str, str]) -> str:
    return ", ".join(f"{k}={_quoted(v)}" for k, v in pairs.items() if v)


def _quoted(value: str) -> str:
    if not _DELIMITER.search(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def failed(queue_id: str, error: BaseException) -> None:
    """Log a fault of our own, with its traceback on the same line."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    trace = " | ".join(line.strip() for line in lines)
    _write(ERROR, f"{queue_id}: error=internal, {plain(trace, 4000)}")


def not_configured(queue_id: str) -> None:
    """Log a message that came before the first apply."""
    reply = "451 4.3.0 not configured yet: run pointsman apply"
    _write(WARNING, f'{queue_id}: way=deferred, reply="{reply}"')


def snapshot_loaded(snapshot: Snapshot) -> None:
    """Log that a daemon decides by another revision now."""
    _write(INFO, f"snapshot revision={snapshot.revision}, links={len(snapshot.links)}")


def snapshot_unreadable(path: Path, error: Exception) -> None:
    """Log that the last good snapshot goes on serving."""
    why = plain(str(error))
    _write(ERROR, f"snapshot {path} can't be read, the last good one serves: {why}")


def applied(revision: int, changes: int, moved: int) -> None:
    """Log an apply of the agent's."""
    _write(INFO, f"applied revision={revision}, changes={changes}, moved={moved}")


def changed(
    revision: int, who: str, host: str, what: str, name: str, fields: Iterable[str], more: int = 0
) -> None:
    """Log a change of the database: who did what, and to which fields; no values.

    `more` says how many others like it there are.
    """
    pairs = {"revision": str(revision), "who": plain(who), "host": plain(host)}
    pairs |= {"what": plain(what), "name": plain(name), "fields": " ".join(fields)}
    pairs["more"] = str(more) if more else ""
    _write(INFO, f"change {_joined(pairs)}")


def agent_trouble(error: Exception) -> None:
    """Log what keeps the agent from its work; mail goes on as last applied."""
    _write(ERROR, f"agent: {plain(str(error), 1000)}")


def host_not_written(error: Exception) -> None:
    """Log that other hosts do not see how this one does; nothing else is the worse for it."""
    _write(WARNING, f"host list is not told of this host for now: {plain(str(error), 1000)}")


def agent_well() -> None:
    """Log that the trouble is over."""
    _write(INFO, "agent: well again")


def started(what: str) -> None:
    """Log that a program is at work."""
    _write(INFO, f"started {what}")


# -- rates


def flush() -> None:
    """Write the lines of `rated` that wait."""
    for sink in _sinks:
        sink.flush()


def rated(queue_id: str, shown: str) -> None:
    """Log what the policy daemon told Postfix, when no milter asked for it; see `flush`.

    Both are `plain` already.
    """
    for sink in _sinks:
        sink.gather(INFO, f"{queue_id}: {shown}")


def released(queue_id: str, agency: str, connector: str, waited: float) -> None:
    """Log a held message that goes now."""
    pairs = {"agency": agency, "connector": connector, "way": "released", "held": f"{waited:.1f}s"}
    _write(INFO, f"{queue_id}: {_joined(pairs)}")


def held_again(queue_id: str, original: str, agency: str) -> None:
    """Log a message that is on hold under another queue id than before, or that we missed."""
    pairs = {"agency": agency, "way": "held", "orig_id": original}
    _write(INFO, f"{queue_id}: {_joined(pairs)}")


def paused(queue_id: str, agency: str, connector: str, why: str) -> None:
    """Log queued mail that was put on hold because of a pause."""
    pairs = {"agency": agency, "connector": connector, "way": "held", "text": plain(why)}
    _write(INFO, f"{queue_id}: {_joined(pairs)}")


def held_vanished(queue_id: str, agency: str) -> None:
    """Log that held mail is not in the hold queue: deleted or released by hand."""
    pairs = {"agency": agency, "way": "left", "text": "not on hold any more; not by us"}
    _write(INFO, f"{queue_id}: {_joined(pairs)}")


def alarm(name: str, kind: str, text: str) -> None:
    """Log what somebody should look at, once for each window."""
    _write(WARNING, f"{name} {text} ({kind})")


def down(names: Iterable[str]) -> None:
    """Log which connectors get no turn from now on."""
    _write(WARNING, f"down={' '.join(sorted(names)) or 'none'}")


def not_counted(complaint: str) -> None:
    """Log that somebody asks in vain: rates would silently do nothing."""
    _write(WARNING, f"not counted: {plain(complaint)}")


def token_renewed(connector: str, lifetime: float) -> None:
    """Log a new access token, never the token itself; `lifetime` in seconds."""
    pairs = {"connector": connector, "token": "renewed", "lifetime": f"{lifetime:.0f}s"}
    _write(INFO, _joined(pairs))


def peer_closed(why: str) -> None:
    """Log a connection that was closed because of what came over it."""
    _write(WARNING, f"connection closed: {plain(why)}")


def journal_damaged(path: Path, lines: int) -> None:
    """Log that part of what was remembered is lost."""
    _write(ERROR, f"{path}: {lines} damaged lines left out; rates may be short of some mail")


def journal_failed(path: Path, error: Exception) -> None:
    """Log that a kill would forget what is counted now; mail and rates go on."""
    _write(ERROR, f"{path} can't be written, rates go on in memory: {plain(str(error))}")


def journal_back(path: Path) -> None:
    """Log that a kill forgets nothing again."""
    _write(INFO, f"{path} is written again")


def counters_away(error: Exception, on_failure: str) -> None:
    """Log that nobody can count now, and what happens to mail."""
    _write(ERROR, f"counters are away, on_failure={on_failure}: {plain(str(error))}")


def counters_back() -> None:
    """Log that rates count again."""
    _write(INFO, "counters are back")


def report_failed(error: Exception) -> None:
    """Log that usage can't be written down now; it is kept, and rates go on."""
    _write(WARNING, f"usage is not written down for now: {plain(str(error))}")


def policy_away(error: Exception, on_failure: str) -> None:
    """Log that the policy daemon does not answer, and what happens to mail."""
    _write(ERROR, f"policy daemon is away, on_failure={on_failure}: {plain(str(error))}")


def policy_back() -> None:
    """Log that the policy daemon answers again."""
    _write(INFO, "policy daemon is back")
