"""Daemons that don't answer, files they can't use, disks that are full. Pure."""

from collections.abc import Iterator
from pathlib import Path

from pointsman.checks.facts import Facts
from pointsman.checks.finding import Found

_AWAY = {
    "send": "mail goes uncounted",
    "hold": "mail is put on hold",
    "defer": "mail gets 450",
}
LOW = 0.05  # of a disk
LEAST = 1.5  # times message_size_limit, below which smtpd accepts nothing (postconf(5))


def _start(facts: Facts, name: str) -> str:
    if name in facts.host.units:
        return f"`systemctl restart pointsman-{name}`; `journalctl -u pointsman-{name}` says more"
    return f"start it: {facts.ours('run', name)}; the mail log says why it ended"


def postfix_down(facts: Facts) -> Iterator[Found]:
    """Postfix is not running."""
    if not facts.postfix.running:
        start = facts.command("postfix", "start")
        yield Found("Postfix", "is not running", f"`{start}`; the mail log says why it ended")


def smtpd_silent(facts: Facts) -> Iterator[Found]:
    """An smtpd service does not greet: it can't start, and `postfix check` says nothing."""
    for name, reply in facts.daemons.silent.items():
        yield Found(
            f"service {name}",
            f"does not greet its clients ({reply or 'it hangs up'})",
            f"see smtpd's words in the mail log, correct its options, then {facts.reloading}",
        )


def milter_down(facts: Facts) -> Iterator[Found]:
    """The milter does not answer: mail gets 451."""
    if facts.wiring.done and not facts.daemons.milter:
        text = f"does not answer at {facts.config.milter_socket}: all mail gets 451"
        yield Found("milter", text, _start(facts, "milter"))


def policy_down(facts: Facts) -> Iterator[Found]:
    """The policy daemon does not answer: nothing is counted, and held mail waits."""
    if facts.wiring.done and facts.daemons.policy:
        what = f"{_AWAY[facts.config.policy.on_failure]}, and held mail waits"
        text = f"does not answer: {facts.daemons.policy}; {what}"
        yield Found("policy daemon", text, _start(facts, "policy"))


def policy_behind(facts: Facts) -> Iterator[Found]:
    """The policy daemon goes by an older revision than Postfix."""
    told, snapshot = facts.daemons.policy_revision, facts.applied.snapshot
    if told is not None and snapshot is not None and told < snapshot.revision:
        text = f"goes by revision {told}, Postfix by {snapshot.revision}"
        fix = f"let it read {facts.config.snapshot}: see its log, restart it"
        yield Found("policy daemon", text, fix)


def submit_down(facts: Facts) -> Iterator[Found]:
    """The submission helper does not answer for an oauth2 connector: its mail waits."""
    for name in facts.daemons.submit:
        text = f"of connector {name} does not answer: its mail waits"
        yield Found("submission helper", text, _start(facts, "submit"))


def agent_down(facts: Facts) -> Iterator[Found]:
    """The agent is not running.

    Changes are not applied, held mail is not let go, tokens are not renewed.
    """
    if facts.wiring.done and not facts.daemons.agent:
        text = "is not running: changes are not applied, held mail is not let go"
        yield Found("agent", text, _start(facts, "agent"))


def no_mail_log(facts: Facts) -> Iterator[Found]:
    """There is no mail log: the agent does not notice that a connector is down or refused."""
    if facts.wiring.done and facts.host.mail_log is None:
        fix = "`apt install rsyslog`, or " + facts.then_reload(
            "postconf", "-e", "maillog_file=/var/log/postfix.log"
        )
        text = "is nowhere: the agent does not notice that a connector is down or refused"
        yield Found("mail log", text, fix)


def full_disks(facts: Facts) -> Iterator[Found]:
    """There is no room for the queue or the journal: mail gets 452."""
    for path, disk in facts.host.disks.items():
        if disk.free < _least(facts) or not disk.free_files:
            yield Found(
                str(path), f"has no room: {_room(facts, path)}; mail gets 452", _clean(path)
            )


def filling_disks(facts: Facts) -> Iterator[Found]:
    """Less than a twentieth of the disk is free."""
    for path, disk in facts.host.disks.items():
        if disk.free < _least(facts) or not disk.free_files:
            continue
        if disk.free < LOW * disk.size or disk.free_files < LOW * disk.files:
            yield Found(str(path), f"is nearly full: {_room(facts, path)}", _clean(path))


def _least(facts: Facts) -> float:
    return LEAST * int(facts.postfix.value("message_size_limit") or 0)


def _room(facts: Facts, path: Path) -> str:
    disk = facts.host.disks[path]
    return f"{disk.free >> 20:,} MB and {disk.free_files:,} files are free"


def _clean(path: Path) -> str:
    return f"make room (`df -h {path}; df -i {path}`), or let what waits there go"
