"""The one module that edits main.cf and master.cf, always through postconf(1)."""

import os
import resource
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pointsman.errors import PointsmanError

# Debian keeps Postfix's commands where an ordinary PATH may not look.
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
# Linux gives a quarter of the stack's limit to a command's arguments, at most 6 MB. We
# take most of it: postconf compares every entry given with every entry there, so that
# 1,000 lanes in groups cost seconds more than at once.
_STACK = 24 << 20
_SHARE = 0.22


class PostfixError(PointsmanError):
    """A Postfix command failed; the message has its own words."""


@dataclass(frozen=True)
class Instance:
    """One Postfix instance, known by its configuration directory."""

    config_directory: Path
    _answers: dict[tuple[object, ...], str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def main_cf(self) -> Path:
        """The parameters."""
        return self.config_directory / "main.cf"

    @property
    def master_cf(self) -> Path:
        """The services."""
        return self.config_directory / "master.cf"

    def run(self, program: str, *arguments: str, stdin: str | None = None) -> str:
        """Run a Postfix command on this instance and return what it printed.

        Raises PostfixError if it fails or can't be started.
        """
        result = self._run(program, arguments, stdin)
        if result.returncode != 0:
            words = " ".join((result.stderr or result.stdout).split())
            raise PostfixError(f"{program} {arguments[0]} failed: {words or 'see the mail log'}")
        return result.stdout

    def test(self, program: str, *arguments: str) -> bool:
        """Run a Postfix command and tell whether it succeeded."""
        return self._run(program, arguments, None).returncode == 0

    def query(self, table: str, key: str) -> str:
        """What a table answers to a key; '' if nothing."""
        return self._run("postmap", ("-q", key, table), None).stdout.removesuffix("\n")

    def answers(self, table: str, keys: str) -> list[str]:
        """Of keys, one a line, those that a table answers, each as `key<TAB>value`.

        Raises PostfixError if the table can't be asked.
        """
        result = self._run("postmap", ("-q", "-", table), keys)
        if result.returncode != 0 and result.stderr:
            # A table in braces may hold passwords, and Postfix's words hold the table.
            name = table.partition("{")[0]
            words = "" if name != table else ": " + " ".join(result.stderr.split())
            raise PostfixError(f"the table {name} can't be asked{words}")
        return result.stdout.splitlines()

    def complaints(self, program: str, *arguments: str, stdin: str | None = None) -> str:
        """Run a Postfix command and return its warnings, which don't show in its status."""
        return self._run(program, arguments, stdin).stderr.strip()

    def _run(
        self, program: str, arguments: Sequence[str], stdin: str | None
    ) -> subprocess.CompletedProcess[str]:
        command = [program, "-c", str(self.config_directory), *arguments]
        environment = {**os.environ, "PATH": f"{_PATH}:{os.environ.get('PATH', '')}"}
        try:
            return subprocess.run(  # noqa: S603 - no shell, and no argument of a stranger's
                command,
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                env=environment,
                check=False,
            )
        except FileNotFoundError:
            raise PostfixError(f"there is no {program}: install Postfix") from None

    def parameters(self, *names: str, expand: bool = True) -> dict[str, str]:
        """Effective values, `$name` expanded unless told otherwise.

        All are listed at once: with 1,000 lanes one costs half a second, and so do all.
        """
        listed = _values(self._postconf(*(["-x"] if expand else [])))
        return {name: listed[name] for name in names if name in listed}

    def _postconf(self, *arguments: str) -> str:
        """Ask once, until a file changes: with 1,000 lanes each answer takes half a second."""
        try:
            stamps = [path.stat() for path in (self.main_cf, self.master_cf)]
        except OSError as error:
            raise PostfixError(f"{error.filename}: {error.strerror}") from None
        key = (arguments, *((s.st_mtime_ns, s.st_ino, s.st_size) for s in stamps))
        if key not in self._answers:
            for old in [known for known in self._answers if known[1:] != key[1:]]:
                del self._answers[old]
            self._answers[key] = self.run("postconf", *arguments)
        return self._answers[key]

    def require_tables(self, kinds: Iterable[str]) -> None:
        """Insist on kinds of tables without which Postfix could only defer all mail."""
        missing = sorted(set(kinds) - set(self._postconf("-m").split()))
        if missing:
            packages = " ".join(f"postfix-{kind}" for kind in missing)
            what = " or ".join(missing)
            raise PostfixError(f"Postfix reads no {what} tables: install Debian's {packages}")

    def explicit(self) -> dict[str, str]:
        """What main.cf itself says, unexpanded."""
        return dict(_values(self._postconf("-n")))

    def set_parameters(self, values: Mapping[str, str | None]) -> None:
        """Edit main.cf; None removes the line, so that the default counts again."""
        given = [f"{name}={value}" for name, value in values.items() if value is not None]
        dropped = [name for name, value in values.items() if value is None]
        if given:
            self.run("postconf", "-e", *given)
        if dropped:
            self.run("postconf", "-X", *dropped)

    def services(self) -> dict[str, str]:
        """The entries of master.cf by `name/type`, blanks folded."""
        entries = (" ".join(line.split()) for line in self._postconf("-M").splitlines())
        return {"/".join(entry.split()[:2]): entry for entry in entries if entry}

    def service_parameters(self, *services: str) -> dict[str, dict[str, str]]:
        """The `-o` options of all services, or of these, by `name/type`; `$name` expanded."""
        found: dict[str, dict[str, str]] = {}
        for line in self._postconf("-x", "-P", *(f"{name}/*" for name in services)).splitlines():
            spelled, _, value = line.partition("=")
            service, _, name = spelled.strip().rpartition("/")
            found.setdefault(service, {})[name] = value.strip()
        return found

    def put_services(self, entries: Mapping[str, str]) -> None:
        """Add or replace entries of master.cf."""
        for group in _groups(f"{name}={entry}" for name, entry in entries.items()):
            with _room_for_arguments():
                self.run("postconf", "-M", *group)

    def remove_services(self, names: Iterable[str]) -> None:
        """Take entries out of master.cf."""
        for group in _groups(names):
            self.run("postconf", "-MX", *group)

    def set_service_option(self, service: str, option: str, value: str | None) -> None:
        """Give a service of master.cf an `-o` of its own, or take it out."""
        if value is None:
            self.run("postconf", "-PX", f"{service}/{option}")
        elif " " in value:  # which -P does not take
            self.run("postconf", "-P", f"{service}/{option}=")
            entry = self.services()[service]
            spelled = f"-o {{{option}={value}}}"
            self.put_services({service: entry.replace(f"-o {option}=", spelled, 1)})
        else:
            self.run("postconf", "-P", f"{service}/{option}={value}")

    def queue_directory(self) -> Path:
        """Where the queue and the daemons' sockets are."""
        return Path(self.parameters("queue_directory")["queue_directory"])

    def master_pid(self) -> int | None:
        """The master daemon, if it runs; `postfix status` would log each question."""
        try:
            pid = int((self.queue_directory() / "pid" / "master.pid").read_text())
            command = Path(f"/proc/{pid}/comm").read_text().strip()
        except (OSError, ValueError):
            return None
        return pid if command == "master" else None

    def running(self) -> bool:
        """Whether the instance is up."""
        return self.master_pid() is not None


@lru_cache(maxsize=8)
def _values(printed: str) -> Mapping[str, str]:
    """What postconf prints of parameters."""
    pairs = (line.partition("=") for line in printed.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _groups(arguments: Iterable[str]) -> Iterator[list[str]]:
    """As many arguments at once as a command takes."""
    group: list[str] = []
    size, most = 0, _stack() * _SHARE
    for argument in arguments:
        length = len(os.fsencode(argument)) + 9  # its end and the pointer to it
        if group and size + length > most:
            yield group
            group, size = [], 0
        group.append(argument)
        size += length
    if group:
        yield group


@contextmanager
def _room_for_arguments() -> Iterator[None]:
    """Let commands started meanwhile have long argument lists (execve(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (_stack(), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def _stack() -> int:
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    return _STACK if hard == resource.RLIM_INFINITY else min(_STACK, hard)


def service_entry(fields: str, options: Mapping[str, str]) -> str:
    """Spell an entry as `postconf -M` prints it, so that the two can be compared."""
    spelled = (
        f"-o {{{name}={value}}}" if " " in value else f"-o {name}={value}"
        for name, value in options.items()
    )
    return " ".join([fields, *spelled])


def spell_list(*items: str) -> str:
    """Join the items of a list parameter, empty ones left out."""
    return ", ".join(item for item in items if item)
