"""Held mail: the oldest first, and nobody overtakes what waits for the same counter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.policy.held import Held, HeldMail

A, B, S = ("a", "c", ""), ("b", "c", ""), ("a", "c", "clerk@a.test")


def counters(line):
    """What may stop a message."""
    agency, connector, sender = line
    names = [f"agency {agency}", f"connector {connector}"]
    return [*names, f"sender {sender}"] if sender else names


def waiting(*messages):
    """Held mail in this order: queue id and line."""
    mail = HeldMail()
    for number, (queue_id, line) in enumerate(messages):
        mail.add(Held(queue_id, line, 1, False, float(number)))
    return mail


def go(mail, full=(), now=100.0, room=100):
    """Let go what may; `full` are counters without room. Returns the ids in order."""
    gone = []
    for held, stopped_by in mail.candidates(counters, now):
        stop = next((name for name in counters(held.line) if name in full), None)
        if stop is not None:
            stopped_by(stop)
        elif len(gone) < room:
            mail.let_go(held, now, held.recipients)
            gone.append(held.queue_id)
        else:
            break
    return gone


def test_oldest_of_all_lines_goes_first():
    """Order of arrival, across agencies and senders."""
    mail = waiting(("1", A), ("2", B), ("3", S), ("4", A), ("5", B))
    assert go(mail) == ["1", "2", "3", "4", "5"]
    assert list(mail.going) == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("full", "ids"),
    [
        ([], ["1", "2", "3", "4"]),
        (["agency a"], ["2"]),
        (["agency b"], ["1", "3", "4"]),
        (["connector c"], []),
        (["sender clerk@a.test"], ["1", "2", "4"]),
    ],
)
def test_what_stopped_an_older_one_stops_all_of_that_counter(full, ids):
    """And nobody else: other agencies and senders go on."""
    assert ids == go(waiting(("1", A), ("2", B), ("3", S), ("4", A)), full)


def test_younger_message_does_not_take_the_room_an_older_one_waits_for():
    """A counter that is too full for the oldest lets no smaller one pass."""
    mail = waiting(("1", A), ("2", S))
    offered = []
    for held, stopped_by in mail.candidates(counters, 100.0):
        offered.append(held.queue_id)
        stopped_by("agency a")
    assert offered == ["1"]


def test_room_ends_a_batch_in_order():
    """What is left goes first the next time."""
    mail = waiting(("1", A), ("2", B), ("3", A))
    assert go(mail, room=2) == ["1", "2"]
    assert go(mail) == ["3"]


def test_new_mail_waits_behind_its_own_line_alone():
    """A line, or a counter that held mail waits for, keeps new mail behind; others pass."""
    mail = waiting(("1", S))
    assert mail.behind(S, counters(S)) == "held mail"
    assert mail.behind(A, counters(A)) == ""
    mail.add(Held("2", S, 1, False, 1.0), "agency a")
    assert mail.behind(A, counters(A)) == "agency a"
    assert mail.behind(B, counters(B)) == ""


def test_after_a_look_new_mail_waits_for_what_held_mail_waits_for():
    """The counters that stopped something, and no others."""
    mail = waiting(("1", S), ("2", B))
    go(mail, ["sender clerk@a.test", "agency b"])
    assert mail.behind(A, counters(A)) == ""
    assert mail.behind(B, counters(B)) == "held mail"
    assert mail.behind(("b", "d", ""), ["agency b", "connector d"]) == "agency b"


def test_nothing_waits_where_nothing_is_held():
    """The last one that goes leaves no trace."""
    mail = waiting(("1", A))
    mail.add(Held("2", A, 1, False, 1.0), "agency a")
    go(mail)
    mail.drop("1")
    mail.drop("2")
    assert (len(mail), mail.behind(A, counters(A))) == (0, "")


def test_ghost_does_not_block():
    """A message that is not in the hold queue yet is passed over, and keeps its place."""
    mail = waiting(("1", A), ("2", A), ("3", B))
    assert go(mail, room=1) == ["1"]
    ghost = mail.going["1"]
    mail.put_back(ghost)
    mail.not_there_yet(ghost, 100.0)
    assert go(mail, now=100.5) == ["2", "3"]
    assert go(mail, now=101.0) == ["1"]


def test_put_back_keeps_the_place():
    """What was offered in vain is offered first again."""
    mail = waiting(("1", A), ("2", A), ("3", A))
    assert go(mail, room=2) == ["1", "2"]
    for queue_id in ("2", "1"):
        mail.put_back(mail.going[queue_id])
    assert mail.going == {}
    assert go(mail) == ["1", "2", "3"]


@pytest.mark.parametrize("offered", [False, True])
def test_requeued_message_keeps_its_place(offered):
    """Under its new id it is as old as before, offered or not."""
    mail = waiting(("1", A), ("2", A))
    if offered:
        go(mail, room=1)
    assert mail.rename("1", "9", 0.0)
    assert not mail.rename("1", "8", 0.0)
    assert go(mail) == ["9", "2"]


def test_drop_forgets_wherever_it_is():
    """Waiting, offered or unknown: the count is right, and nothing is offered."""
    mail = waiting(("1", A), ("2", A))
    go(mail, room=1)
    assert mail.count["a"] == 2
    assert mail.drop("1").queue_id == "1"
    assert mail.drop("2").queue_id == "2"
    assert mail.drop("2") is None
    assert (mail.count["a"], go(mail), mail.going) == (0, [], {})


def test_oldest_of_each_agency():
    """Since when somebody waits."""
    assert waiting(("1", A), ("2", B), ("3", S)).oldest() == {"a": 0.0, "b": 1.0}


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([A, B, S])), unique_by=lambda p: p[0]))
def test_numbers_decide_the_order(places):
    """However they are read back from the journal, messages go by their numbers."""
    mail = HeldMail()
    for number, line in places:
        mail.add(Held(str(number), line, 1, False, 0.0, number=number + 1))
    assert go(mail) == sorted(str(number) for number, _ in places)
