"""Pointsman against the do-nothing milter in C and against Postfix alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import serving
from bench.fill import SMALL, address
from bench.floor import Floor, floor_milter
from bench.load import Stream, write_message
from bench.race import Entrant, Sample, run
from bench.rig import ASKED_AT_END, Rig, rig
from bench.serving import Server
from pointsman.postfix.wiring import MILTER_LIMITS

BARE, FLOOR, WIRED_FLOOR = "no milter", "C milter", "C milter, our tables"
FLOORS = "C milter, do-nothing policy"
TABLE, CARRIER = "table mail", "carrier mail"
FOREIGN = "bounce+7@vendor.example"  # linked to nothing
MODES = {"one message per session": False, "many messages per session": True}

Say = Callable[[str], None]
Samples = dict[tuple[str, str], list[Sample]]  # by entrant and mode


@dataclass
class Throughput:
    """All samples, by entrant and mode, in the order of the rounds."""

    what: dict[str, str] = field(default_factory=dict)
    samples: Samples = field(default_factory=dict)


def race(entrants: list[Entrant], rounds: int, messages: int, say: Say) -> Samples:
    """Let all run in turn, each round beginning with another one."""
    samples: Samples = {}
    for number in range(rounds):
        for mode, reuse in MODES.items():
            first = number % len(entrants)
            for entrant in entrants[first:] + entrants[:first]:
                sample = run(entrant, messages, reuse=reuse)
                samples.setdefault((entrant.name, mode), []).append(sample)
                say(
                    f"round {number + 1}/{rounds}, {mode}: {entrant.name}: "
                    f"{sample.inject:.0f} messages/s in, {sample.drain:.0f} in and out"
                )
    return samples


def measure(folder: Path, sink: int, rounds: int, messages: int, say: Say) -> Throughput:
    """The race of six."""
    with _entrants(folder, sink) as entrants:
        result = Throughput({e.name: e.what for e in entrants})
        result.samples = race(entrants, rounds, messages, say)
    return result


@contextmanager
def _entrants(folder: Path, sink: int) -> Iterator[list[Entrant]]:
    with (
        rig(folder / "postfix", SMALL, sink) as built,
        floor_milter(folder, built.milter_socket) as floor,
        serving.floor(folder / "policy") as policy,
    ):
        yield [*_without(built, floor, policy), *_with(built, floor)]


def _without(built: Rig, floor: Floor, policy: Server) -> list[Entrant]:
    """Postfix as it would be if there were no Pointsman."""
    streams = [own_stream(built, 0)]
    alone = Entrant(BARE, "Postfix alone", built, built.plain, streams)
    milter = replace(
        alone,
        name=FLOOR,
        what="Postfix with a milter that does nothing",
        parameters={**built.plain, **_milters(floor)},
        milter=floor.pid,
    )
    both = replace(
        milter,
        name=FLOORS,
        what=(
            "the same, and a policy server on asyncio that does nothing, asked by "
            f"`{ASKED_AT_END}`: two questions for each message, as with Pointsman"
        ),
        parameters={**milter.parameters, ASKED_AT_END: f"check_policy_service {policy.address}"},
        policy=policy.pids[0],
    )
    return [alone, milter, both]


def _with(built: Rig, floor: Floor) -> list[Entrant]:
    """Postfix wired by `setup`; once with the C milter, to tell the milter from the tables."""
    table = Entrant(
        name=TABLE,
        what=(
            "Pointsman, envelope sender linked: the milter changes nothing, and asks the policy "
            "daemon"
        ),
        rig=built,
        parameters=built.wired,
        streams=[own_stream(built, 0)],
        way="table",
        lanes=["pm-c0"],
        milter=built.milter_pid,
    )
    return [
        replace(
            table,
            name=WIRED_FLOOR,
            what="all of Pointsman's settings and its lane, but the C milter in place of ours",
            parameters={**built.wired, **_milters(floor)},
            way="",
            milter=floor.pid,
        ),
        table,
        replace(
            table,
            name=CARRIER,
            what="Pointsman, only From linked: the milter rewrites the envelope sender",
            streams=[foreign_stream(built, 0)],
            way="carrier",
        ),
    ]


def _milters(floor: Floor) -> dict[str, str]:
    """The C milter, wired with the same limits as ours."""
    item = f"{{ unix:{floor.socket}, {MILTER_LIMITS} }}"
    return {"smtpd_milters": item, "non_smtpd_milters": item}


def own_stream(built: Rig, connector: int) -> Stream:
    """From and envelope sender are the same linked address."""
    author = address(built.size, connector)
    file = built.postfix.folder / f"message{connector}"
    return Stream(author, write_message(file, author))


def foreign_stream(built: Rig, connector: int) -> Stream:
    """The same message, under an envelope sender that is linked to nothing."""
    return Stream(FOREIGN, own_stream(built, connector).file)
