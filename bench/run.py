"""`make bench`: runs the races, prints the tables and writes RESULTS.md."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bench import peers, policy, scale, throughput
from bench.load import sink
from bench.machine import facts
from bench.report import report
from bench.results import Results
from lab.city import new_folder

PARTS = ("policy", "throughput", "scale", "apply")
APPLIES = 3
RESULTS = Path(__file__).with_name("RESULTS.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; whatever ends it, nothing is left running."""
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        print("bench: run it as root: a Postfix instance of our own needs it", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    tempfile.tempdir = options.folder
    folder = new_folder()
    try:
        with sink() as port:
            results = _measure(options, folder, port)
    except KeyboardInterrupt:
        print("bench: ended early, nothing written", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = report(results)
    print(f"\n{text}")
    if options.write:
        RESULTS.write_text(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--messages", type=int, default=4000, metavar="N", help="in each run")
    parser.add_argument(
        "--seconds", type=float, default=policy.SECONDS, metavar="N", help="a run of `policy`"
    )
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="run only this part; repeatable"
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        help="where the queue lies: /dev/shm shows the CPU's share alone (default: %(default)s)",
        default=tempfile.gettempdir(),
    )
    parser.add_argument(
        "--no-write", dest="write", action="store_false", help=f"leave {RESULTS.name} as it is"
    )
    return parser


def _end(_number: int, _frame: FrameType | None) -> None:
    """Clean up, and let no second Ctrl-C disturb that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _measure(options: argparse.Namespace, folder: Path, port: int) -> Results:
    results = Results(options.rounds, options.messages, facts(folder))
    parts = options.only or PARTS
    if "policy" in parts:
        peers.install()
        place = _made(folder / "policy")
        results.policy = policy.measure(place, options.rounds, options.seconds, _say)
    if "throughput" in parts:
        place = _made(folder / "throughput")
        results.throughput = throughput.measure(place, port, options.rounds, options.messages, _say)
    if "scale" in parts:
        place = _made(folder / "scale")
        results.scale = scale.measure(place, port, options.rounds, options.messages, _say)
    if "apply" in parts:
        times = min(APPLIES, options.rounds)
        results.applies = scale.measure_apply(_made(folder / "apply"), port, times, _say)
    return results


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
