"""Puts what the journal says back into a ledger, and a ledger into a new journal."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from pointsman import logs
from pointsman.policy.held import Held
from pointsman.policy.journal import hold_line, is_id, text_of, word
from pointsman.policy.ledger import Ledger
from pointsman.policy.verdict import GO, Verdict
from pointsman.rates.counted import LARGEST, Counted
from pointsman.rates.counters import Memory


def state(ledger: Ledger) -> Iterator[str]:
    """Everything that is remembered, as lines."""
    if isinstance(ledger.counters, Memory):
        for at, counted in ledger.counters.windows.dump():
            kind, _, name = counted.key.partition(" ")
            where = f"{kind} {word(name)} {counted.seconds} {counted.unit}"
            yield f"window {at!r} {where} {counted.pack() or '-'}"
    if seen := " ".join(filter(is_id, ledger.answered.names())):
        yield f"seen {seen}"
    for held in ledger.held.by_id.values():
        yield hold_line(held)
    for held in ledger.held.going.values():
        yield f"went {held.charged_at!r} {held.queue_id} {held.charged}"
    for held in ledger.held.by_id.values():
        if held.offered:
            yield f"again {held.queue_id}"
    for queue_id in ledger.gone:
        yield f"gone {queue_id}"


def replay(ledger: Ledger, lines: Iterable[Sequence[str]]) -> None:
    """Do again what was written; a damaged line is left out, and said."""
    damaged = 0
    for line in lines:
        try:
            _DO[line[0]](ledger, *line[1:])
        except (ValueError, KeyError, TypeError):
            damaged += 1
    if damaged:
        logs.journal_damaged(ledger.journal.path, damaged)


def _amount(word: str) -> int:
    amount = int(word)
    if not 0 <= amount <= LARGEST:
        raise ValueError(word)
    return amount


def _window(
    ledger: Ledger, at: str, kind: str, name: str, seconds: str, unit: str, steps: str
) -> None:
    counted = Counted(f"{kind} {text_of(name)}", int(seconds), unit)
    if steps != "-":
        counted.unpack(steps)
    if isinstance(ledger.counters, Memory):
        ledger.counters.windows.restore(float(at), counted)


def _charge(
    ledger: Ledger,
    at: str,
    recipients: str,
    name: str,
    agency: str,
    connector: str,
    sender: str,
) -> None:
    line = (text_of(agency), text_of(connector), text_of(sender))
    amount = _amount(recipients)
    if amount and isinstance(ledger.counters, Memory):
        wanted = ledger.rules.wanted(line)
        ledger.counters.windows.count(wanted, amount, float(at))
    if name != "-":
        ledger.answered.add(GO, name)


def _hold(
    ledger: Ledger,
    since: str,
    recipients: str,
    queue_id: str,
    exempt: str,
    number: str,
    agency: str,
    connector: str,
    sender: str,
) -> None:
    line = (text_of(agency), text_of(connector), text_of(sender))
    held = Held(queue_id, line, _amount(recipients), exempt == "1", float(since), int(number))
    # Until the first look at the counters, new mail waits behind what is held.
    ledger.held.add(held, f"agency {line[0]}")
    ledger.answered.add(Verdict("HOLD", "held already"), queue_id)


def _went(ledger: Ledger, at: str, queue_id: str, amount: str) -> None:
    held = ledger.held.by_id.get(queue_id)
    if held is not None and queue_id not in ledger.held.going:
        ledger.held.let_go(held, float(at), _amount(amount))


def _go(ledger: Ledger, at: str, queue_id: str, amount: str) -> None:
    _went(ledger, at, queue_id, amount)
    held = ledger.held.going.get(queue_id)
    if held is not None and isinstance(ledger.counters, Memory):
        ledger.counters.windows.count(ledger.wanted_by(held), held.charged, float(at))


def _back(ledger: Ledger, queue_id: str) -> None:
    held = ledger.held.going.get(queue_id)
    if held is None or held.charged_at is None:
        return
    if isinstance(ledger.counters, Memory):
        wanted, amount = ledger.wanted_by(held), held.charged
        ledger.counters.windows.take_back(wanted, amount, held.charged_at)
    ledger.held.put_back(held)


def _again(ledger: Ledger, queue_id: str) -> None:
    held = ledger.held.going.get(queue_id)
    if held is not None:
        ledger.held.put_back(held, offered=True)
    elif queue_id in ledger.held.by_id:
        ledger.held.by_id[queue_id].offered = True


def _gone(ledger: Ledger, queue_id: str) -> None:
    ledger.held.drop(queue_id)
    ledger.mark_gone(queue_id)


def _drop(ledger: Ledger, queue_id: str) -> None:
    ledger.held.drop(queue_id)


def _seen(ledger: Ledger, *names: str) -> None:
    for name in names:
        ledger.answered.add(GO, name)


def _rename(ledger: Ledger, at: str, old: str, new: str) -> None:
    ledger.held.rename(old, new, float(at))


_DO: dict[str, Callable[..., None]] = {
    "window": _window,
    "charge": _charge,
    "hold": _hold,
    "went": _went,
    "go": _go,
    "back": _back,
    "again": _again,
    "seen": _seen,
    "gone": _gone,
    "drop": _drop,
    "rename": _rename,
}
