"""Message by message: what is let through, held, deferred or refused, and in what words."""

from dataclasses import replace

import pytest

from pointsman.policy.held import APPEARS, Held
from pointsman.policy.ledger import Answered, Verdict
from pointsman.policy.rules import Asked, Rules
from pointsman.routing.snapshot import Agency, Pause
from tests.unit.policy_daemon import EPOCH, SNAPSHOT, Life, run

A = ("a", "c", "")


@pytest.fixture
def life(tmp_path):
    """A daemon that remembers nothing yet."""
    life = Life(tmp_path)
    yield life
    life.end()


def agency(life, name="a", **changes):
    """Apply a snapshot in which an agency is changed."""
    old = life.ledger.rules.snapshot
    agencies = {**old.agencies, name: replace(old.agencies[name], **changes)}
    life.ledger.rules = Rules(replace(old, agencies=agencies))


def fill(life, now=EPOCH):
    """Use up agency a's 3 in 10 seconds."""
    assert [life.send(f"F{n}", now).action for n in range(3)] == ["DUNNO"] * 3


def test_beyond_the_rate_mail_is_held():
    """In words that name the counter and its rate."""
    words = Verdict("HOLD", "agency a is over its rate of 3/10 seconds", "agency a").words
    assert words == "HOLD agency a is over its rate of 3/10 seconds"


@pytest.mark.parametrize(
    ("over_limit", "words"),
    [
        ("delay", "HOLD agency a is over its rate of 3/10 seconds"),
        ("reject", "550 5.7.1 agency a is over its rate of 3/10 seconds"),
    ],
)
def test_over_limit(life, over_limit, words):
    """What the agency wants, said with counter and rate."""
    agency(life, over_limit=over_limit)
    fill(life)
    assert life.send("Q1", EPOCH).words == words


def test_deferred_mail_is_told_when_to_come_again(life):
    """In seconds, never less than one; and when it comes then, it passes."""
    agency(life, over_limit="defer")
    fill(life)
    assert life.send("Q1", EPOCH + 4).words == (
        "450 4.7.1 agency a is over its rate of 3/10 seconds, try again in 6 s"
    )
    assert life.send("Q2", EPOCH + 10.1).action == "DUNNO"


def test_refused_mail_is_not_charged_and_not_remembered(life):
    """The same message is asked about anew when it comes again."""
    agency(life, over_limit="reject")
    fill(life)
    before = life.used(EPOCH)
    assert life.send("Q1", EPOCH).action == "REJECT"
    assert before == life.used(EPOCH)
    assert life.send("Q1", EPOCH + 11).action == "DUNNO"


def test_more_recipients_than_ever_fit_are_refused(life):
    """Waiting would not help."""
    verdict = life.send("Q1", EPOCH, ("b", "d", ""), recipients=5)
    assert verdict.words == (
        "550 5.7.1 5 recipients, but agency b may have 4 recipients/10 seconds"
    )


def test_held_mail_never_waits_for_a_rate_that_was_lowered_below_it(life):
    """It goes when the whole window is free."""
    life.send("Q0", EPOCH, ("b", "d", ""), recipients=4)
    assert life.send("Q1", EPOCH, ("b", "d", ""), recipients=4).action == "HOLD"
    agency(life, "b", rate="2 recipients/10 seconds")
    assert life.due(EPOCH + 5) == []
    assert life.due(EPOCH + 10.1) == ["Q1"]


@pytest.mark.parametrize("queue_id", ["", "Q 1", "Q\n1", "x" * 65, "\udcff"])
def test_what_can_not_be_held_is_deferred(life, queue_id):
    """Without a queue id nobody could let it go again."""
    fill(life)
    assert life.send(queue_id, EPOCH).action == "DEFER"
    assert len(life.ledger.held) == 0


def test_held_max(life):
    """Beyond it new mail is deferred; other agencies are not concerned."""
    agency(life, held_max=2)
    fill(life)
    actions = [life.send(f"Q{n}", EPOCH) for n in range(3)]
    assert [verdict.action for verdict in actions] == ["HOLD", "HOLD", "DEFER"]
    assert actions[2].text == "agency a has 2 messages held, try again later"
    assert life.send("Q9", EPOCH, ("free", "d", "")).action == "DUNNO"


def test_new_mail_waits_behind_held_mail(life):
    """Even when there is room again: the oldest goes first."""
    fill(life)
    life.send("Q1", EPOCH)
    verdict = life.send("Q2", EPOCH + 11)
    assert (verdict.action, verdict.why) == ("HOLD", "held mail")
    assert life.due(EPOCH + 11) == ["Q1", "Q2"]


def test_exempt_mail_passes_held_mail(life):
    """Bounces wait for nobody, and are not counted."""
    fill(life)
    life.send("Q1", EPOCH)
    before = life.used(EPOCH)
    assert life.send("Q2", EPOCH, exempt=True).action == "DUNNO"
    assert before == life.used(EPOCH)


@pytest.mark.parametrize("name", ["agency a", "connector c"])
def test_pause_holds_all_until_its_end(life, name):
    """Exempt mail too; what is held goes at the rate once the pause is over."""
    pause = Pause("me", "2026-01-01", EPOCH + 100, "audit")
    life.ledger.rules = Rules(replace(SNAPSHOT, pauses={name: pause}))
    verdict = life.send("Q0", EPOCH, exempt=True)
    assert verdict.action == "HOLD"
    assert verdict.text.startswith(f"{name} is paused by me at 2026-01-01 until ")
    assert life.send("Q1", EPOCH).why == name
    assert life.send("Q2", EPOCH, ("b", "d", "")).action == "DUNNO"
    assert life.due(EPOCH + 99) == []
    assert life.due(EPOCH + 100) == ["Q0", "Q1"]


def test_full_lane_holds_mail_until_it_has_room(life):
    """Of that lane alone, and only while the agent counts what is on its way."""
    lanes = {"d": replace(SNAPSHOT.lanes["d"], backlog=1)}
    life.ledger.rules = Rules(replace(SNAPSHOT, lanes=lanes))
    life.ledger.backlog.learn({"X": "d"}, EPOCH)
    verdict = life.send("Q1", EPOCH, ("free", "d", ""))
    assert verdict.words == "HOLD lane pm-d has 1 messages to send"
    assert life.send("Q2", EPOCH, ("free", "c", "")).action == "DUNNO"
    assert life.due(EPOCH) == []
    life.ledger.backlog.prune([], EPOCH + 6)
    assert life.due(EPOCH + 6) == ["Q1"]
    assert life.send("Q3", EPOCH + 6, ("free", "d", "")).action == "HOLD"


@pytest.mark.parametrize(
    ("wish", "action", "held"), [("send", "DUNNO", 0), ("hold", "HOLD", 1), ("defer", "DEFER", 0)]
)
def test_without_counters(life, wish, action, held):
    """As the configuration says."""
    verdict = life.ledger.without_counters(Asked("Q1", "i1", A), wish, EPOCH)
    assert (verdict.action, len(life.ledger.held)) == (action, held)


def test_message_that_never_came_on_hold_is_forgotten(life, log):
    """After a minute, with its charge returned and a line in the log; not before."""
    fill(life)
    life.send("Q1", EPOCH)
    assert life.due(EPOCH + 11) == ["Q1"]
    run(life.ledger.absent(["Q1"], EPOCH + 11))
    assert life.used(EPOCH + 11)["agency a", "3/10 seconds"] == 0
    life.ledger.compare([], EPOCH + APPEARS)
    assert (log(), len(life.ledger.held)) == ([], 1)
    life.ledger.compare([], EPOCH + APPEARS + 1)
    assert len(life.ledger.held) == 0
    (line,) = log()
    assert line.startswith("Q1: agency=a, way=left")


def test_what_an_admin_holds_is_theirs(life):
    """What we let go, and is on hold again under its id, is not taken in; `ours` is."""
    fill(life)
    life.send("Q1", EPOCH)
    life.due(EPOCH + 11)
    life.ledger.confirm(["Q1"], EPOCH + 11)
    assert life.ledger.compare(["Q1", "X"], EPOCH + 12) == ["Q1", "X"]
    again = Held("Q1", A, 1, False, EPOCH + 12)
    assert not life.ledger.adopt("Q1", again, EPOCH + 12, ours=False)
    assert life.ledger.adopt("Q1", again, EPOCH + 12, ours=True)
    assert life.due(EPOCH + 13) == ["Q1"]


def test_agency_that_is_gone_keeps_nobody_waiting(life):
    """Its held mail goes as if unlimited."""
    fill(life)
    life.send("Q1", EPOCH)
    life.ledger.rules = Rules(replace(SNAPSHOT, agencies={"b": Agency("b")}))
    assert life.due(EPOCH + 1) == ["Q1"]


def test_recent_answers_are_bounded():
    """By number and by turns; the older half goes first."""
    answered, verdict = Answered(), Verdict("DUNNO")
    answered.add(verdict, "1")
    answered.turn()
    answered.add(verdict, "2")
    assert (answered.get("1"), answered.get("")) == (verdict, None)
    answered.turn()
    assert (answered.get("1"), answered.get("2")) == (None, verdict)


def test_what_is_taken_back_is_what_was_charged(life):
    """The rate may have been changed in between: a smaller charge does not come back larger."""
    line, window = ("b", "d", ""), ("agency b", "4 recipients/10 seconds")
    agency(life, "b", rate="4 recipients/10 seconds")
    assert life.send("X", EPOCH, line, 4).action == "DUNNO"
    assert life.send("H", EPOCH, line, 4).action == "HOLD"
    agency(life, "b", rate="2 recipients/10 seconds")
    assert life.due(EPOCH + 11) == ["H"]
    agency(life, "b", rate="4 recipients/10 seconds")
    assert life.used(EPOCH + 11)[window] == 2
    run(life.ledger.absent(["H"], EPOCH + 11))
    assert life.used(EPOCH + 11)[window] == 0


def test_message_that_can_never_go_is_refused_even_behind_held_mail(life):
    """It must not slip through as held mail whose rate was lowered."""
    line = ("b", "d", "")
    assert life.send("X", EPOCH, line, 4).action == "DUNNO"
    assert life.send("H", EPOCH, line, 1).action == "HOLD"
    assert life.send("M", EPOCH, line, 5).action == "REJECT"


def test_mail_that_left_before_it_could_be_stopped_is_forgotten(life):
    """A pause takes queued mail in before it is on hold; what was faster blocks nobody."""
    early = Held("Q1", ("free", "d", ""), 1, False, EPOCH)
    assert life.ledger.adopt("Q1", early, EPOCH, ours=True)
    life.ledger.forget(["Q1", "Q2"])
    for _ in range(2):
        assert not life.ledger.held.by_id
        assert life.due(EPOCH + 1) == []
        life.kill()
