"""The journal: what is read back is what was written, and damage costs its own lines alone."""

import errno
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.policy import recall
from pointsman.policy.held import Held
from pointsman.policy.journal import FORMAT, Journal, text_of, word
from pointsman.policy.rules import Asked
from pointsman.rates.clock import Clock
from tests.unit.policy_daemon import EPOCH, Life


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_one_word(text):
    """Blanks and line breaks in a sender are no others on the way."""
    assert text_of(word(text)) == text or text == "-"
    assert len(word(text).split()) == 1


def fill(life):
    """Three sent, two held, one of them offered, one renamed, one gone."""
    for number in range(6):
        life.send(f"Q{number}", EPOCH, ("a", "c", "s@a.test"))
    life.ledger.confirm(life.due(EPOCH + 21, room=1), EPOCH + 21)
    life.due(EPOCH + 21, room=1)
    again = Held("Q9", ("a", "c", ""), 1, False, EPOCH + 21)
    assert life.ledger.adopt("Q5", again, EPOCH + 21, ours=False)


def known(life):
    """Everything that counts of what a ledger knows."""
    ledger = life.ledger
    held = sorted((h.queue_id, h.line, h.number, h.since) for h in ledger.held.by_id.values())
    return life.used(EPOCH + 22), held, sorted(ledger.held.going), list(ledger.gone)


def test_next_life_knows_what_the_last_one_did(tmp_path):
    """Once from what was added, and once from the file written anew."""
    life = Life(tmp_path)
    fill(life)
    before = known(life)
    assert (len(before[1]), before[3]) == (3, ["Q2"])
    for _ in range(3):
        life.kill()
        assert before == known(life)
    life.end()


def test_file_is_for_us_alone(tmp_path):
    """Mode 0600."""
    life = Life(tmp_path)
    assert life.path.stat().st_mode & 0o777 == 0o600
    life.end()


def test_torn_last_line_is_left_out(tmp_path):
    """Whatever was answered is in whole lines; at any cut the lines before it count."""
    life = Life(tmp_path)
    fill(life)
    life.end()
    whole = life.path.read_bytes()
    line = whole.rfind(b"\n", 0, -1) + 1
    counts = set()
    for cut in range(line, len(whole)):
        life.path.write_bytes(whole[:cut])
        life.begin()
        counts.add(len(life.ledger.held))
        life.end()
    assert counts == {3}


@contextmanager
def room_for(size):
    """No file may be larger than this: what a write hits when the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_every_cut_forgets_what_came_after_it_and_nothing_before(tmp_path):
    """However much of the file is left: each whole line of it counts, and no other."""
    life = Life(tmp_path)
    for number in range(8):
        life.send(f"Q{number}", EPOCH + number, ("a", "c", ""))
    life.end()
    whole = life.path.read_bytes()
    for cut in range(len(whole)):
        life.path.write_bytes(whole[:cut])
        life.begin()
        lines = whole[:cut].split(b"\n")[1:-1]
        charged = sum(line.startswith(b"charge") for line in lines)
        held = sum(line.startswith(b"hold") for line in lines)
        assert life.used(EPOCH + 8)["agency a", "3/10 seconds"] == charged
        assert len(life.ledger.held) == held
        life.end()


def test_write_by_half_takes_no_other_line_with_it(tmp_path):
    """The disk is full within a line; what is written when there is room again counts."""
    life = Life(tmp_path)
    life.send("Q1", EPOCH)
    with room_for(life.path.stat().st_size + 20):
        assert life.send("Q2", EPOCH).action == "DUNNO"
    assert life.send("Q3", EPOCH).action == "DUNNO"
    life.kill()
    assert life.used(EPOCH)["agency a", "3/10 seconds"] == 2
    life.end()


@pytest.mark.parametrize("torn", [b"", b"charge 17637"])
def test_life_that_begins_on_a_full_disk(tmp_path, torn):
    """It knows what was, counts on in memory, and writes all of it once there is room."""
    life = Life(tmp_path)
    life.send("Q1", EPOCH)
    life.end()
    with life.path.open("ab") as file:
        file.write(torn)
    with room_for(life.path.stat().st_size // 2):
        life.begin()
        assert life.send("Q2", EPOCH).action == "DUNNO"
        life.ledger.journal.renew(recall.state(life.ledger))
    assert life.used(EPOCH)["agency a", "3/10 seconds"] == 2
    assert life.ledger.journal.large
    assert not life.path.with_suffix(".new").exists()
    assert life.send("Q3", EPOCH).action == "DUNNO"
    life.kill()
    assert life.used(EPOCH)["agency a", "3/10 seconds"] == 2, "1 and 3 are in the file"
    life.end()


def test_folder_that_is_not_ours_is_no_full_disk(tmp_path, monkeypatch):
    """A daemon that may not write there does not start as if all were well."""

    def refuse(*_arguments, **_more):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        Journal(tmp_path / "policy.journal").open([])


def test_damaged_lines_are_left_out_and_said(tmp_path, log):
    """With their number, and the others count."""
    life = Life(tmp_path)
    fill(life)
    before = known(life)
    large = b"9" * 20  # what no window could hold
    life.kill(
        b"charge x y\nhold\ngo 1.0\n\n\0\0\0\ncharge 1.0 x Q a c -\nunknown 5\n"
        b"charge 1.0 %b Q a c -\nwindow 1.0 agency a 60 messages AAAA\n" % large
    )
    assert before == known(life)
    (line,) = log()
    assert "9 damaged lines left out" in line
    life.end()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_keeps_the_daemon_from_starting(tmp_path, data):
    """Bytes overwritten anywhere cost what they said, and no more than that."""
    life = Life(tmp_path)
    fill(life)
    life.end()
    raw = bytearray(life.path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, 5000)) % len(raw)] = data.draw(
            st.sampled_from(b" \n-x9\xff\0")
        )
    life.path.write_bytes(raw)
    life.begin()
    life.send("N1", EPOCH + 30)
    life.end()
    life.path.unlink()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\0" * 1000,
        b"something else\n",
        f"{FORMAT}\n".encode(),
        f"{FORMAT} boot\n".encode(),
        f"{FORMAT} boot x\n".encode(),
        b"pointsman-journal-9 boot 1.0\ncharge 1.0 1 Q a c -\n",
    ],
)
def test_file_that_is_no_journal(tmp_path, content):
    """The daemon begins with nothing."""
    (tmp_path / "policy.journal").write_bytes(content)
    life = Life(tmp_path)
    assert life.send("Q1", EPOCH).action == "DUNNO"
    life.end()


def test_clock_goes_on_with_the_same_boot_and_never_back(tmp_path):
    """Another boot begins at the wall clock, yet not before what was written."""
    journal = Journal(tmp_path / "policy.journal")
    list(journal.read())
    boot, offset = journal.clock.boot, journal.clock.offset
    path = journal.path
    path.write_text(f"{FORMAT} {boot} {offset - 1000}\n")
    again = Journal(path)
    list(again.read())
    assert again.clock == Clock(boot, offset - 1000)
    path.write_text(f"{FORMAT} other {offset}\nhold 9999999999.5 1 Q 0 1 a c -\n")
    after = Journal(path)
    list(after.read())
    assert 9_999_999_999 < after.clock.now() < 9_999_999_999 + 60


@pytest.mark.parametrize(
    "asked",
    [
        Asked("Q1", "i1", ("a", "c", "two words@a.test")),
        Asked("Q1", "i1", ("a b", "c", "")),
        Asked("Q1", "i1", ("a", "", "")),
        Asked("Q1", "i1", ("\udcff", "c", "")),
        Asked("Q1", "i1", ("a", "c", "\udcff@a.test")),
        Asked("Q 1", "i\udcff", ("a", "c", "")),
    ],
)
def test_strange_names_harm_nobody(tmp_path, log, asked):
    """A client that says them can't break the journal for the others, now or in the next life."""
    life = Life(tmp_path)
    life.ask(asked, EPOCH)
    assert life.send("Q2", EPOCH).action == "DUNNO"
    life.kill()
    assert life.used(EPOCH)["agency a", "3/10 seconds"] >= 1
    assert "damaged" not in "".join(log())
    life.end()


@pytest.mark.parametrize("window", ["1/second", "1/10 seconds", "1/day"])
def test_times_are_kept_to_the_last_digit(tmp_path, window):
    """A charge that was read back frees no moment earlier than the one in memory."""
    life = Life(tmp_path)
    agencies = {"a": life.snapshot.agencies["a"].__class__("a", any_client=True, rate=window)}
    life.snapshot = life.snapshot.__class__(revision=8, agencies=agencies)
    life.kill()
    rate = life.ledger.rules.rate_of("agency a")
    for number in range(20):
        now = EPOCH + number * rate[0].seconds * 1.01 + 0.00044
        assert life.send(f"Q{number}", now).action == "DUNNO"
        life.kill()
        assert life.used(now + rate[0].seconds - 1e-6)["agency a", window] == 1
    life.end()
