"""Sets up as `pointsman setup --enforce` does, with the disk full from its n-th step on."""

import sys
from pathlib import Path

from pointsman.config import load
from pointsman.errors import PointsmanError
from pointsman.postfix import apply
from pointsman.postfix.setup import setup
from pointsman.postfix.wiring import Choice
from pointsman.store.database import Store
from tests.postfix.interrupted_apply import Grief

NO_ROOM = ("os.link", "os.remove")


def main(path, number):
    """Exit 0 if all went well, 1 if setup failed, 3 if there is no such step."""
    config = load(Path(path))
    apply.RELOAD_INTERVAL = 0.0
    folders = (str(config.postfix.config_directory), str(config.state_directory))
    grief = Grief("full", number, folders)
    # Second names come and go by the dozen, and need no room: the step after them will do.
    sys.addaudithook(lambda event, given: event in NO_ROOM or grief(event, given))
    try:
        setup(config, Store(config), Choice(), lambda _: None)
    except PointsmanError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0 if grief.seen >= number else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
