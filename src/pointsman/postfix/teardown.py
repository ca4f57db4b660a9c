"""Takes Pointsman out of a Postfix: main.cf and master.cf say what they would without us."""

import os
import re
import shutil
from collections.abc import Callable, Sequence

from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.locks import locked
from pointsman.postfix import files, probe, queue, units, wiring
from pointsman.postfix.conf import Instance
from pointsman.postfix.queue import Queued
from pointsman.postfix.reload import reload
from pointsman.routing.address import AddressError, is_carrier, parse_path
from pointsman.routing.charge import HELD
from pointsman.routing.decide import MARKER

_SIGNS = re.compile(rf"^(?:regular_text: )?(?:{MARKER}|{HELD}): ", re.MULTILINE)

Say = Callable[[str], None]


class TeardownError(PointsmanError):
    """Pointsman stays, and everything is as it was."""


def plan(config: Config) -> list[str]:
    """Each change that teardown would make, in words; changes nothing.

    Raises NotSetUpError if there is nothing to take out.
    """
    wiring.original(config)
    instance = Instance(config.postfix.config_directory)
    kept = wiring.theirs(config, instance)
    said = []
    for path in (instance.main_cf, instance.master_cf):
        now, then = files.text_of(path) or "", kept.without_us(path.name)
        as_left = now == files.text_of(kept.folder / f"{path.name}.left")
        how = "byte for byte as before setup" if as_left else "without our lines, your edits stay"
        said += [f"{path.name}: {how}"] if now != then else []
    stopped = units.leaving() if units.serve(config) else []
    return [*said, f"remove {config.tables}", *stopped]


def strays(config: Config) -> list[str]:
    """The queue ids of mail that only Pointsman leads the right way, or would let go."""
    instance = Instance(config.postfix.config_directory)
    return [q.queue_id for q in queue.listed(instance) if _is_stray(instance, q)]


def _is_stray(instance: Instance, queued: Queued) -> bool:
    """Carried, marked, or held by us."""
    if queued.queue == "hold" or queued.sender == queue.NULL:
        return bool(_SIGNS.search(queue.text_of(instance, queued.queue_id)))
    try:
        return is_carrier(parse_path(queued.sender, ""))
    except AddressError:
        return False


def teardown(config: Config, say: Say, astray: Sequence[str]) -> None:
    """Do it, saying each change first; `astray` is put on hold, lest they leave the wrong way.

    Raises TeardownError if a step fails; then everything is as it was.
    """
    if os.geteuid() != 0:
        raise TeardownError("teardown changes Postfix's configuration: run it as root")
    for change in plan(config):
        say(change)
    instance = Instance(config.postfix.config_directory)
    with locked(config.apply_lock):
        _hold(instance, astray)
        _unwire(config, instance)
        shutil.rmtree(config.tables)
        config.snapshot.unlink(missing_ok=True)
    if units.serve(config):
        units.take_down()
    if not probe.milter_answers(config.milter_socket):
        shutil.rmtree(config.milter_socket.parent, ignore_errors=True)


def _hold(instance: Instance, queue_ids: Sequence[str]) -> None:
    if queue_ids:
        instance.run("postsuper", "-h", "-", stdin="\n".join(queue_ids) + "\n")


def _unwire(config: Config, instance: Instance) -> None:
    kept = wiring.theirs(config, instance)
    paths = (instance.main_cf, instance.master_cf)
    after = {path: kept.without_us(path.name) for path in paths}
    backup = files.Backup(paths)
    try:
        for path, text in after.items():
            status = path.stat()
            if text != files.text_of(path):
                files.write(path, text, status.st_mode & 0o777, status.st_gid)
        instance.run("postfix", "check")
        if instance.running():
            reload(instance)
    except (PointsmanError, OSError) as error:
        backup.restore_all()
        instance.test("postfix", "reload")
        raise TeardownError(f"all is as it was: {error}") from error
    finally:
        backup.forget()
