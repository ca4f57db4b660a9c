"""Makes Postfix, then the daemons, agree with the database: all of it, or nothing.

The order keeps every moment in between safe: a lane is there before a sender is
led to it, and goes only after none is; the snapshot comes last, so that milter
and policy never know more than Postfix does.
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
from pointsman.postfix import files, probe, queue, surroundings, wiring
from pointsman.postfix.conf import Instance, PostfixError
from pointsman.postfix.lane import LANE_FOLDERS, TABLE_TYPES, Tables
from pointsman.postfix.reload import reload
from pointsman.postfix.render import Rendered, render
from pointsman.routing import snapshot as snapshots
from pointsman.routing.snapshot import Lane, Snapshot
from pointsman.store.book import Book, read
from pointsman.store.database import Store

RELOAD_INTERVAL = 2.0  # seconds between reloads, so that a burst of edits costs few
# Without a reload, qmgr goes on with its last answer for the same sender and
# recipient for up to 30 s (resolve_clnt.c).
QMGR_MEMORY = 35.0
VERIFIERS = 4  # postmap commands at once


class ApplyError(PointsmanError):
    """Applying failed, and what was there before is back."""


@dataclass
class Report:
    """What an apply did, for people and for the agent."""

    revision: int
    changes: list[str] = field(default_factory=list)
    moved: int = 0
    running: bool = True
    milter: bool = True
    ends: float = float("inf")  # when the first diversion does (epoch)


@dataclass(frozen=True)
class Plan:
    """What differs between Postfix as it is and as it should be."""

    rendered: Rendered
    files: Mapping[Path, tuple[str, int]]  # path: text, mode
    stale_files: tuple[Path, ...]
    senders: bool
    new_services: Mapping[str, str]
    changed_services: Mapping[str, str]
    stale_services: tuple[str, ...]
    parameters: Mapping[str, str | None]
    lanes: frozenset[str]  # connectors whose lane is new or other than before

    @property
    def reloads(self) -> bool:
        """Whether more than the lmdb changes, which Postfix sees by itself."""
        services = self.new_services or self.changed_services or self.stale_services
        return bool(self.files or services or self.parameters)

    def describe(self) -> list[str]:
        """Name each change in words; no secret among them."""
        return [
            *(f"write {path}" for path in self.files),
            *(f"remove {path}" for path in self.stale_files),
            *(f"master.cf: add {name}" for name in self.new_services),
            *(f"master.cf: change {name}" for name in self.changed_services),
            *(f"master.cf: remove {name}" for name in self.stale_services),
            *(
                f"main.cf: {name} = {value or '(default)'}"
                for name, value in self.parameters.items()
            ),
            *(["update sender_transport.lmdb"] if self.senders else []),
        ]


class Applier:
    """Applies revisions to one Postfix; the agent keeps one, the CLI makes one."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config = config
        self.store = store
        self.instance = Instance(config.postfix.config_directory)
        self.tables = Tables(config.tables, config.policy_socket.parent)

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
            with self._undo(report.running):
                self._change(plan, before, running=report.running)
            for path in plan.stale_files:
                path.unlink(missing_ok=True)
            if report.running:
                report.moved = queue.move_on(self.instance, plan.rendered.snapshot, plan.lanes)
            report.milter = probe.milter_answers(self.config.milter_socket)
            return report

    def _applied(self) -> Snapshot | None:
        try:
            return snapshots.load(self.config.snapshot)
        except (OSError, ValueError, KeyError):
            return None

    def _plan(self, book: Book, before: Snapshot | None) -> Plan:
        original = wiring.original(self.config)
        self.instance.require_tables(TABLE_TYPES)
        around = surroundings.read(
            self.instance, original["default_transport"] or "smtp", self.tables.folder
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
            senders=files.text_of(self.tables.sender_transport) != rendered.senders,
            new_services={n: e for n, e in differing.items() if n not in services},
            changed_services={n: e for n, e in differing.items() if n in services},
            stale_services=tuple(sorted(ours - set(rendered.services) - {wiring.PICKUP})),
            parameters={n: v for n, v in rendered.parameters.items() if explicit.get(n) != v},
            lanes=_changed_lanes(before, rendered.snapshot, differing_files, differing),
        )

    def _change(self, plan: Plan, before: Snapshot | None, *, running: bool) -> None:
        """New lanes, then the senders that take them, then all the rest."""
        self._wait_for_interval(plan)
        rest = dict(plan.files)
        if plan.new_services:
            self._write_files({p: rest.pop(p) for p in plan.files if not _is_in_use(p)})
            self.instance.put_services(plan.new_services)
            self._read_back(plan.new_services, {})
            if running:
                reload(self.instance, (name.split("/")[0] for name in plan.new_services))
        if plan.senders:
            self._write_senders(plan.rendered.senders)
        edits = bool(rest or plan.changed_services or plan.stale_services or plan.parameters)
        if edits:
            self._write_files(rest)
            self.instance.put_services(plan.changed_services)
            self.instance.remove_services(plan.stale_services)
            self.instance.set_parameters(plan.parameters)
            self._read_back(plan.rendered.services, plan.rendered.parameters)
        fresh = False
        if running and (edits or (plan.new_services and plan.senders)):
            fresh = reload(self.instance)
        after = plan.rendered.snapshot
        if before is not None and not fresh:
            after = replace(after, changed=_changed_keys(after, before, time.time()))
        self._write_snapshot(after)

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
            raise PostfixError(f"Postfix does not read the login of {path.name} as it was given")

    def _wait_for_interval(self, plan: Plan) -> None:
        """Keep reloads apart, whoever asks for them: the CLI may apply beside the agent."""
        if not plan.reloads:
            return
        stamp = self.config.state_directory / "reload.stamp"
        if stamp.exists():
            rest = RELOAD_INTERVAL - (time.time() - stamp.stat().st_mtime)
            time.sleep(min(max(rest, 0.0), RELOAD_INTERVAL))
        stamp.touch()

    def _write_senders(self, text: str) -> None:
        """Update the lmdb in place: a renamed one would not be seen for a while."""
        source = self.tables.sender_transport
        files.write(source, text, 0o644)
        words = self.instance.complaints("postmap", f"lmdb:{source}")
        if words:
            raise PostfixError(f"postmap: {words}")
        rows = self.instance.run("postmap", "-s", f"lmdb:{source}").count("\n")
        if rows != text.count("\n"):
            raise PostfixError(f"sender_transport.lmdb has {rows} rows, not {text.count(chr(10))}")

    def _write_snapshot(self, snapshot: Snapshot) -> None:
        path = self.config.snapshot
        files.write(path, snapshots.dump(snapshot), 0o640, group=files.group_of(self.config.user))

    @contextmanager
    def _undo(self, running: bool) -> Iterator[None]:  # noqa: FBT001
        """If the block fails, put everything back and say so."""
        kept = {
            path: files.keep(path)
            for path in [
                self.instance.main_cf,
                self.instance.master_cf,
                self.config.snapshot,
                self.tables.sender_transport,
                *files.present(self.tables.folder),
            ]
        }
        try:
            yield
        except (PointsmanError, OSError) as error:
            for path in files.present(self.tables.folder):
                if path not in kept:
                    path.unlink()
            for path, data in kept.items():
                files.restore(path, data)
            if self.tables.sender_transport.exists():
                self.instance.complaints("postmap", f"lmdb:{self.tables.sender_transport}")
            if running:
                self.instance.test("postfix", "reload")
            raise ApplyError(f"not applied, all is as before: {error}") from error


def _is_in_use(path: Path) -> bool:
    """Whether a running lane reads the file: then it changes with the lane."""
    return path.parent.name in LANE_FOLDERS and path.exists()


def _changed_lanes(
    before: Snapshot | None,
    after: Snapshot,
    written: Mapping[Path, object],
    services: Mapping[str, str],
) -> frozenset[str]:
    """Connectors whose mail takes a live lane other than before, or one that was corrected."""
    old = before or Snapshot()
    touched = {path.stem for path in written if path.parent.name in LANE_FOLDERS}
    return frozenset(
        name
        for name in after.lanes
        if (lane := after.lane(name)) is not None
        and lane.live
        and (
            _way(old.lane(name)) != _way(lane)
            or lane.connector in touched
            or f"{lane.transport}/unix" in services
        )
    )


def _way(lane: Lane | None) -> tuple[str, bool, bool] | None:
    """What of a lane has to do with where mail goes; its rate has not."""
    return (lane.destination, lane.live, lane.align) if lane else None


def _changed_keys(after: Snapshot, before: Snapshot, now: float) -> Mapping[str, float]:
    """Keys whose row changed, with how long qmgr may remember the old one."""
    recent = {key: until for key, until in before.changed.items() if until > now}
    differing = before.links.items() ^ after.links.items()
    return {**recent, **dict.fromkeys((key for key, _ in differing), now + QMGR_MEMORY)}
