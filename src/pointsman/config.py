"""The YAML file: only what is this host's own; all else is in the database.

Unknown keys are errors, so that a typing mistake never does nothing in silence.
"""

import dataclasses
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointsman.errors import PointsmanError
from pointsman.strict import YamlError, parsed

DEFAULT_PATH = Path("/etc/pointsman/pointsman.yaml")
MAX_SIZE = 64 * 1024
HOST_NAME = "hostname"
ON_FAILURE = ("send", "hold", "defer")


class ConfigError(PointsmanError):
    """The configuration file is wrong; the message names the key."""


def key(default: Any, doc: str) -> Any:
    """Declare a configuration key with its documentation."""
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class PostfixConfig:
    """Which Postfix instance."""

    config_directory: Path = key(Path("/etc/postfix"), "The instance, as in `postfix -c`.")


@dataclass(frozen=True)
class MilterConfig:
    """Where the milter listens."""

    socket: str = key(
        "unix:/var/spool/postfix/pointsman/milter.sock",
        "A unix socket within the Postfix queue directory, so that chrooted daemons reach it.",
    )


@dataclass(frozen=True)
class PolicyConfig:
    """Where the policy daemon listens and counts."""

    socket: str = key(
        "unix:/var/spool/postfix/pointsman/policy.sock",
        "A unix socket within the Postfix queue directory.",
    )
    counters: str = key(
        "memory",
        "`memory`, or redis://… or valkey://… for counters that several hosts share.",
    )
    on_failure: str = key(
        "send",
        "What happens to mail while rates can't be asked for: `send`, `hold` or `defer`.",
    )


@dataclass(frozen=True)
class Config:
    """Everything in the file."""

    database: str = key(
        "sqlite:////var/lib/pointsman/pointsman.db", "SQLAlchemy URL of the database."
    )
    secret_key_file: Path = key(
        Path("/etc/pointsman/secret.key"), "Fernet keys, one a line, the newest first; mode 0600."
    )
    state_directory: Path = key(
        Path("/var/lib/pointsman"), "Snapshot, locks and what setup found before it."
    )
    host_name: str = key(
        HOST_NAME,
        "This host's name in `host list`, history and usage, where several share a database: "
        "one of its own, or `hostname` for what hostname(1) prints.",
    )
    user: str = key("pointsman", "The account of the unprivileged programs.")
    log: str = key("syslog", "`syslog` (facility mail), `stderr`, or the path of a file.")
    postfix: PostfixConfig = field(default_factory=PostfixConfig)
    milter: MilterConfig = field(default_factory=MilterConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    path: Path = DEFAULT_PATH

    @property
    def host(self) -> str:
        """The name by which other hosts know this one."""
        return socket.gethostname() if self.host_name == HOST_NAME else self.host_name

    @property
    def snapshot(self) -> Path:
        """The applied revision."""
        return self.state_directory / "snapshot.json"

    @property
    def tables(self) -> Path:
        """The folder of the tables that Postfix reads."""
        return self.postfix.config_directory / "pointsman"

    @property
    def apply_lock(self) -> Path:
        """Held while something is being applied."""
        return self.state_directory / "apply.lock"

    @property
    def apply_begun(self) -> Path:
        """There while something is being applied, and after an apply that was cut off."""
        return self.state_directory / "apply.begun"

    @property
    def agent_lock(self) -> Path:
        """Held while an agent runs."""
        return self.state_directory / "agent.lock"

    @property
    def milter_socket(self) -> Path:
        """The path of the milter's socket."""
        return Path(self.milter.socket.removeprefix("unix:"))

    @property
    def policy_socket(self) -> Path:
        """The path of the policy daemon's socket."""
        return Path(self.policy.socket.removeprefix("unix:"))

    @property
    def ways(self) -> Path:
        """The folder of what the submission helper knows of each connector."""
        return self.tables / "submit"

    @property
    def access(self) -> Path:
        """The folder of the access tokens that the agent hands to the submission helper."""
        return self.state_directory / "access"

    def refused(self, connector: str) -> Path:
        """Where the submission helper names the token that the server takes no more."""
        return self.state_directory / f"refused-{connector}"

    def submit_socket(self, connector: str) -> Path:
        """Where the submission helper listens for one lane, beside the policy daemon."""
        return submit_socket(self.policy_socket.parent, connector)

    @property
    def health(self) -> Path:
        """What the agent found out about connectors that stand in for each other."""
        return self.state_directory / "health.json"

    @property
    def control_socket(self) -> Path:
        """Where the agent and the command line talk to the policy daemon."""
        return self.state_directory / "control.sock"


def submit_socket(folder: Path, connector: str) -> Path:
    """The submission helper's socket for one lane."""
    return folder / f"submit-{connector}.sock"


def config_path(option: str | None) -> Path:
    """The file to read: the option, else POINTSMAN_CONFIG, else the usual place."""
    return Path(option or os.environ.get("POINTSMAN_CONFIG") or DEFAULT_PATH)


def load(path: Path) -> Config:
    """Read and check the file; a missing one at the usual place means defaults."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        if path == DEFAULT_PATH:
            return Config()
        raise ConfigError(f"{path} does not exist: name the file with --config") from None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    if len(raw) > MAX_SIZE:
        raise ConfigError(f"{path} is larger than {MAX_SIZE // 1024} KiB")
    try:
        data = parsed(raw)
    except YamlError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    return _checked(_record(Config, {} if data is None else data, f"{path}: ", {"path": path}))


def _record(kind: type, data: Any, where: str, extra: Mapping[str, Any]) -> Any:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}expected `key: value` lines")
    known = {f.name: f for f in dataclasses.fields(kind) if f.name != "path"}
    values = dict(extra)
    for name, value in data.items():
        if name not in known:
            raise ConfigError(f"{where}unknown key {name!r}; known are {', '.join(known)}")
        default = getattr(kind(), name)
        values[name] = _value(default, value, f"{where}{name}: ")
    return kind(**values)


def _value(default: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(default):
        return _record(type(default), value, where, {})
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}expected text, not {value!r}")
    return Path(value) if isinstance(default, Path) else value


def _checked(config: Config) -> Config:
    where = f"{config.path}: "
    for program in ("milter", "policy"):
        address = getattr(config, program).socket
        if not address.startswith("unix:/"):
            raise ConfigError(
                f"{where}{program}.socket: {address!r} should be unix:/path; TCP is far slower"
            )
    if config.policy.on_failure not in ON_FAILURE:
        raise ConfigError(f"{where}policy.on_failure: choose from {', '.join(ON_FAILURE)}")
    if not re.match(r"memory$|(redis|rediss|valkey|valkeys|unix)://.", config.policy.counters):
        raise ConfigError(
            f"{where}policy.counters: write memory, redis://host:6379/0 or valkey://host:6379/0"
        )
    if not re.fullmatch(r"[\w.-]{1,64}", config.host_name, re.ASCII):
        raise ConfigError(f"{where}host_name: expected a name such as mx1, or hostname")
    if "://" not in config.database:
        raise ConfigError(f"{where}database: not an SQLAlchemy URL such as sqlite:////path")
    for name in ("secret_key_file", "state_directory"):
        if not getattr(config, name).is_absolute():
            raise ConfigError(f"{where}{name}: expected an absolute path")
    if not config.postfix.config_directory.is_absolute():
        raise ConfigError(f"{where}postfix.config_directory: expected an absolute path")
    return config
