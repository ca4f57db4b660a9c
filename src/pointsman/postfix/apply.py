"""Makes Postfix, then the daemons, agree with the database: all of it, or nothing.

The order keeps every moment in between safe: a lane is there before a sender is
led to it, and goes only after none is; the snapshot comes last, so that milter
and policy never know more than Postfix does. A lane serves its own next hops alone
(lane.py), so a lane and a row that are not of one revision only put mail off.

What needs room on the disk comes before the senders' table, so that a full disk is
noticed before mail takes another way. An apply that was killed leaves `apply.begun`
behind: the next one then takes nothing for done that it can't see.
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.locks import locked
from pointsman.postfix import files, probe, queue, sender_table, surroundings, wiring
from pointsman.postfix.conf import Instance, PostfixError
from pointsman.postfix.lane import TABLE_TYPES, Tables
from pointsman.postfix.plan import Plan, changed_lanes, is_in_use
from pointsman.postfix.reload import reload
from pointsman.postfix.render import render
from pointsman.routing import snapshot as snapshots
from pointsman.routing.snapshot import Snapshot
from pointsman.store.book import Book, read
from pointsman.store.database import Store

RELOAD_INTERVAL = 2.0  # seconds between reloads, so that a burst of edits costs few
# Without a reload, qmgr goes on with its last answer for the same sender and
# recipient for up to 30 s (resolve_clnt.c).
QMGR_MEMORY = 35.0
VERIFIERS = 4  # postmap commands at once


class ApplyError(PointsmanError):
    """Applying failed; the message says whether what was there before is back."""


@dataclass
class Report:
    """What an apply did, for people and for the agent."""

    revision: int
    changes: list[str] = field(default_factory=list)
    moved: int = 0
    running: bool = True
    milter: bool = True
    ends: float = float("inf")  # when the first diversion does (epoch)


class Applier:
    """Applies revisions to one Postfix; the agent keeps one, the CLI makes one."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config = config
        self.store = store
        self.instance = Instance(config.postfix.config_directory)
        self.tables = Tables(config.tables, config.policy_socket.parent)
        self._theirs = wiring.theirs(config, self.instance)
        self._known: tuple[files.Version, Snapshot | None] = ((0, 0), None)  # read or written

    def plan(self) -> Plan:
        """Compare the database with Postfix; changes nothing."""
        return self._plan(read(self.store), self._applied())

    def apply(self) -> Report:
        """Bring the newest revision about.

        Raises ApplyError if a step fails; then everything is as it was.
        """
        with locked(self.config.apply_lock):
            before = self._applied()
            plan = self._plan(read(self.store), before)
            report = Report(plan.rendered.snapshot.revision, plan.describe())
            report.ends = plan.rendered.snapshot.next_end()
            report.running = self.instance.running()
            with self._undo(plan, running=report.running):
                self._change(plan, before, running=report.running)
            for path in plan.stale_files:
                path.unlink(missing_ok=True)
            if report.running:
                report.moved = queue.move_on(self.instance, plan.rendered.snapshot, plan.lanes)
            self.config.apply_begun.unlink(missing_ok=True)
            report.milter = probe.milter_answers(self.config.milter_socket)
            return report

    def _applied(self) -> Snapshot | None:
        """The snapshot file; one of 100,000 links takes a while to read, so only if it is new."""
        try:
            seen = files.version(self.config.snapshot)
            if self._known[0] != seen:
                self._known = (seen, snapshots.load(self.config.snapshot))
        except (OSError, ValueError, KeyError):
            return None
        return self._known[1]

    def _plan(self, book: Book, before: Snapshot | None) -> Plan:
        cut_off = self.config.apply_begun.exists()
        original = wiring.original(self.config)
        self.instance.require_tables(TABLE_TYPES)
        around = surroundings.read(
            self.instance, original.get("default_transport", "smtp"), self.tables.folder
        )
        rendered = render(
            book,
            around,
            self.tables,
            self.store.secrets.unseal,
            wiring.cleanup_chroot(self.instance),
            wiring.admin_checks(self.instance),
            original,
            datetime.now(UTC),
            observe=wiring.chosen_before(self.config).observe,
        )
        wanted = {
            **{self.tables.folder / name: (text, 0o644) for name, text in rendered.files.items()},
            **{
                self.tables.folder / name: (text, 0o600)
                for name, text in rendered.secret_files.items()
            },
        }
        services = self.instance.services()
        # Ours by the tables they name: an admin may have a lane called pm-something.
        ours = {name for name, entry in services.items() if str(self.tables.folder) in entry}
        explicit = self.instance.explicit()
        differing_files = {p: want for p, want in wanted.items() if not files.holds(p, *want)}
        differing = {n: e for n, e in rendered.services.items() if services.get(n) != e}
        return Plan(
            rendered=rendered,
            files=differing_files,
            stale_files=tuple(sorted(set(files.present(self.tables.folder)) - set(wanted))),
            senders=cut_off
            or not sender_table.holds(self.tables.sender_transport, rendered.senders),
            new_services={n: e for n, e in differing.items() if n not in services},
            changed_services={n: e for n, e in differing.items() if n in services},
            stale_services=tuple(sorted(ours - set(rendered.services) - {wiring.PICKUP})),
            parameters={n: v for n, v in rendered.parameters.items() if explicit.get(n) != v},
            lanes=changed_lanes(
                None if cut_off else before, rendered.snapshot, differing_files, differing
            ),
            cut_off=cut_off,
        )

    def _change(self, plan: Plan, before: Snapshot | None, *, running: bool) -> None:
        """All that is written, then the senders, and last the snapshot."""
        self._begin(plan)
        with self._theirs.editing():
            edits = self._edit(plan, running=running)
        reloads = running and (edits or plan.cut_off or bool(plan.new_services and plan.senders))
        staged = self._stage_snapshot(plan, None if reloads else before)
        if plan.senders:
            source = self.tables.sender_transport
            sender_table.update(self.instance, source, plan.rendered.senders)
        if reloads and not reload(self.instance):
            staged = self._stage_snapshot(plan, before)
        staged.replace(self.config.snapshot)

    def _edit(self, plan: Plan, *, running: bool) -> bool:
        """Start new lanes, then write all else; whether there was anything else."""
        rest = dict(plan.files)
        if plan.new_services:
            self._write_files({p: rest.pop(p) for p in plan.files if not is_in_use(p)})
            self.instance.put_services(plan.new_services)
            self._read_back(plan.new_services, {})
            if running:
                reload(self.instance, (name.split("/")[0] for name in plan.new_services))
        if not (rest or plan.changed_services or plan.stale_services or plan.parameters):
            return False
        self._write_files(rest)
        self.instance.put_services(plan.changed_services)
        self.instance.remove_services(plan.stale_services)
        self.instance.set_parameters(plan.parameters)
        self._read_back(plan.rendered.services, plan.rendered.parameters)
        return True

    def _begin(self, plan: Plan) -> None:
        """Keep reloads apart, whoever asks for them: the CLI may apply beside the agent."""
        if plan.describe():
            self.config.apply_begun.touch()
        if not plan.reloads:
            return
        stamp = self.config.state_directory / "reload.stamp"
        if stamp.exists():
            rest = RELOAD_INTERVAL - (time.time() - stamp.stat().st_mtime)
            time.sleep(min(max(rest, 0.0), RELOAD_INTERVAL))
        stamp.touch()

    def _read_back(self, services: Mapping[str, str], parameters: Mapping[str, str | None]) -> None:
        """Ask Postfix for what it was just told.

        `postfix check` looks at nothing that we change, and asks so many questions that
        it takes 10 s with 1,000 lanes.
        """
        entries, explicit = self.instance.services(), self.instance.explicit()
        wrong = [n for n, entry in services.items() if entries.get(n) != entry]
        wrong += [n for n, value in parameters.items() if explicit.get(n) != value]
        if wrong:
            raise PostfixError(f"postconf does not show {wrong[0]} as it was written")

    def _write_files(self, texts: Mapping[Path, tuple[str, int]]) -> None:
        for path, (text, mode) in texts.items():
            files.write(path, text, mode)
        logins = [path for path in texts if path.parent.name == "login"]
        with ThreadPoolExecutor(VERIFIERS) as pool:
            list(pool.map(self._verify_login, logins, [texts[path][0] for path in logins]))

    def _verify_login(self, path: Path, text: str) -> None:
        """Ask for the login as smtp(8) will; Postfix would go on without one."""
        expected = text[len("/^()/ ") : -len("$1\n")].replace("$$", "$")
        answer = self.instance.run("postmap", "-q", "any", f"regexp:{path}")
        if answer.removesuffix("\n") != expected:
            raise PostfixError(
                f"Postfix does not read the login of {path.name.split('.')[0]} as it was given"
            )

    def _stage_snapshot(self, plan: Plan, before: Snapshot | None) -> Path:
        """Write the snapshot, ready to be renamed; `before` is what qmgr may still go by."""
        after = plan.rendered.snapshot
        if before is not None:
            after = replace(after, changed=_changed_keys(after, before, time.time()))
        group = files.group_of(self.config.user)
        staged = files.stage(self.config.snapshot, snapshots.dump(after), 0o640, group=group)
        self._known = (files.version(staged), after)  # a new name makes it no other
        return staged

    @contextmanager
    def _undo(self, plan: Plan, *, running: bool) -> Iterator[None]:
        """If the block fails, put everything back and say so."""
        source, main, master = (
            self.tables.sender_transport,
            self.instance.main_cf,
            self.instance.master_cf,
        )
        try:
            backup = files.Backup([source, main, master, self.config.snapshot, *plan.files])
        except OSError as error:
            raise ApplyError(f"not applied, nothing was changed: {error}") from error
        try:
            yield
        except (PointsmanError, OSError) as error:
            self._bring_back(backup, error, running=running)
            if not plan.cut_off:
                self.config.apply_begun.unlink(missing_ok=True)
            raise ApplyError(f"not applied, all is as before: {error}") from error
        finally:
            backup.forget()

    def _bring_back(self, backup: files.Backup, error: Exception, *, running: bool) -> None:
        """Senders first, as on the way there; raises ApplyError if something stays behind."""
        source = self.tables.sender_transport
        try:
            if sender_table.bring_back(self.instance, source, backup) and running:
                self.instance.run("postfix", "reload")
        except (PointsmanError, OSError) as trouble:
            raise ApplyError(
                f"not applied: {error}; and not all is as before: {trouble}. The agent, or "
                "`pointsman apply`, goes on from here once that is mended"
            ) from error


def _changed_keys(after: Snapshot, before: Snapshot, now: float) -> Mapping[str, float]:
    """Keys whose row changed, with how long qmgr may remember the old one."""
    recent = {key: until for key, until in before.changed.items() if until > now}
    differing = before.links.items() ^ after.links.items()
    return {**recent, **dict.fromkeys((key for key, _ in differing), now + QMGR_MEMORY)}
