"""Uses the CLI as ten busy admins would: one change each 100 ms, for so many seconds."""

import sys
import time

from pointsman.cli.main import cli
from pointsman.trial import Step  # noqa: F401 - imported before the clock starts

INTERVAL = 0.1


def change(turn):
    """The arguments of one change."""
    match turn % 5:
        case 0:
            way = ("m1", "m0")[turn // 5 % 2]
            return ["sender", "link", "@moving.test", "--agency", "a", "--connector", way]
        case 1:
            sender = f"n{turn}@new.test"
            return ["sender", "link", sender, "--agency", "a", "--connector", "steady"]
        case 2:
            return ["connector", "set", "spare", "--description", f"turn {turn}"]
        case 3:
            verb = ("disable", "enable")[turn // 5 % 2]
            return ["connector", verb, "spare", *(["--untested"] if verb == "enable" else [])]
    return ["connector", "set", "spare", "--host", f"localhost:{turn + 1024}", "--untested"]


def main(config, seconds):
    start = time.monotonic()
    for turn in range(int(seconds / INTERVAL)):
        time.sleep(max(0.0, start + turn * INTERVAL - time.monotonic()))
        cli.main(["--config", config, *change(turn)], standalone_mode=False)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
