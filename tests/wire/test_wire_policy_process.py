"""The policy daemon's life: killed, stopped, started twice, with a damaged memory."""

import json
import resource
import signal
import socket
import stat
from dataclasses import replace

import pytest

from tests.wire.policy_process import SNAPSHOT, Daemon, request, until


def through(daemon, count, prefix="K", agency="court"):
    """How many of these messages are let through."""
    return sum(daemon.ask(f"{prefix}{n}", agency) == "DUNNO" for n in range(count))


def test_kill_in_the_middle_of_a_window(daemon):
    """Before and after a kill -9 together, N messages pass; the same one counts once."""
    daemon.start()
    assert through(daemon, 3, "A") == 3
    daemon.kill().start()
    assert through(daemon, 3, "A") == 3
    assert through(daemon, 9, "B") == 2
    daemon.kill().start()
    assert through(daemon, 9, "C") == 0
    assert daemon.used() == 5


def test_killed_again_and_again(daemon):
    """After each message, and N pass in all."""
    passed = 0
    for number in range(7):
        daemon.start()
        passed += daemon.ask(f"K{number}") == "DUNNO"
        daemon.kill()
    assert passed == 5


def test_held_mail_outlives_a_kill(daemon):
    """What waited is offered in its order, once there is room."""
    daemon.start()
    assert through(daemon, 5, "A", "patient") == 5
    held = [daemon.ask(f"H{n}", "patient") for n in range(3)]
    assert held[0] == "HOLD agency patient is over its rate of 5/hour"
    assert [answer[:5] for answer in held[1:]] == ["HOLD "] * 2
    daemon.kill().start()
    assert daemon.control("state", counters=[])["held"] == {"patient": 3}
    assert daemon.control("due", room=20) == {"due": [], "held": 3}
    agencies = {
        **SNAPSHOT.agencies,
        "patient": replace(SNAPSHOT.agencies["patient"], rate="7/hour"),
    }
    daemon.apply(replace(SNAPSHOT, revision=8, agencies=agencies))
    until(lambda: daemon.control("state", counters=[])["revision"] == 8, "revision 8")
    due = daemon.control("due", room=20)["due"]
    assert [message["id"] for message in due] == ["H0", "H1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_well(daemon, number):
    """Status 0, nothing on stderr, and what it knew is there again."""
    daemon.start()
    peer = daemon.connect()
    assert peer.ask("Q1") == "DUNNO"
    daemon.process.send_signal(number)
    assert daemon.ended() == 0
    assert daemon.stderr() == ""
    assert peer.hung_up()
    assert daemon.start().used() == 1


def test_requests_in_flight_are_answered_before_the_end(daemon):
    """What was asked before SIGTERM has its answer, from many connections at once."""
    daemon.start()
    peers = [daemon.connect() for _ in range(50)]
    assert {peer.ask(f"W{n}", "free") for n, peer in enumerate(peers)} == {"DUNNO"}
    for number, peer in enumerate(peers):
        peer.send(request(f"F{number}", "free") * 20)
    daemon.process.send_signal(signal.SIGTERM)
    answers = [peer.answer() for peer in peers for _ in range(20)]
    assert answers == ["DUNNO"] * 1000
    assert daemon.ended() == 0


def test_agent_that_is_connected_does_not_keep_it_from_ending(daemon):
    """SIGTERM ends it with an idle client on the control socket, without a traceback."""
    daemon.start()
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(str(daemon.folder / "control.sock"))
        agent.sendall(b'{"do": "queue", "lanes": {}, "hold": [], "moving": []}\n')
        assert json.loads(agent.recv(4096)) == {"unknown": []}
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.ended() == 0
    assert daemon.stderr() == ""


def test_second_daemon_does_not_take_the_socket_away(daemon):
    """One sentence, status 1, and the first serves on."""
    first = daemon.start().process
    assert daemon.run().ended() == 1
    assert daemon.stderr().startswith("Error: another policy is running: it holds ")
    daemon.process = first
    assert daemon.ask("Q1") == "DUNNO"


def test_second_daemon_on_the_same_journal_is_refused(daemon):
    """Another socket is not enough: they would forget each other's charges."""
    first = daemon.start().process
    daemon.configure(socket=f"unix:{daemon.folder}/other.sock")
    assert daemon.run().ended() == 1
    assert daemon.stderr().startswith("Error: ")
    assert daemon.stderr().count("\n") == 1
    daemon.process = first
    assert daemon.control("state", counters=[])["revision"] == 7
    assert daemon.ask("Q1") == "DUNNO"


def test_sockets_are_for_those_who_need_them(daemon):
    """Postfix's group asks about mail; the control socket is for us and root alone."""
    daemon.start()
    assert daemon.socket.stat().st_mode & 0o777 == 0o770
    control = (daemon.folder / "control.sock").stat()
    assert stat.S_ISSOCK(control.st_mode)
    assert control.st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", ["policy.sock", "control.sock"])
def test_regular_file_in_place_of_a_socket_is_left_alone(daemon, path):
    """One sentence, status 1, and the file as it was."""
    file = daemon.folder / path
    file.write_text("precious")
    assert daemon.run().ended() == 1
    assert daemon.stderr() == f"Error: {file} is there and is no socket: move it away\n"
    assert file.read_text() == "precious"


DAMAGED = {
    "empty": b"",
    "binary": bytes(range(256)) * 100,
    "header": b"pointsman-journal-1\n",
    "header without a number": b"pointsman-journal-1 boot x\n",
    "another format": b"pointsman-journal-9 x y\nz\n",
}


@pytest.mark.parametrize("damaged", DAMAGED)
def test_damaged_journal_does_not_keep_it_from_starting(daemon, damaged):
    """It begins with nothing, and counts."""
    daemon.journal.write_bytes(DAMAGED[damaged])
    daemon.start()
    assert through(daemon, 9) == 5


def test_damaged_lines_of_the_journal(daemon):
    """The others count, and the log says how many do not."""
    daemon.start()
    assert through(daemon, 3, "A") == 3
    daemon.kill()
    with daemon.journal.open("ab") as file:
        file.write(b"charge nonsense\n\xff\xff\ncharge 1")
    daemon.start()
    assert through(daemon, 9, "B") == 2
    assert "2 damaged lines left out" in daemon.logged("left out")[0]


@pytest.mark.parametrize("name", ["policy.journal", "policy.new"])
def test_journal_that_can_not_be_opened_is_a_sentence(daemon, name):
    """A folder stands in its place: one line, status 1."""
    (daemon.folder / name).mkdir()
    assert daemon.run().ended() == 1
    assert daemon.stderr().count("\n") == 1, daemon.stderr()
    assert daemon.stderr().startswith("Error: ")


def test_disk_that_is_full(daemon):
    """Mail is answered on, and once there is room again the journal is whole."""
    daemon.start()
    assert through(daemon, 2, "A") == 2
    assert through(daemon, 50, "G", "free") == 50  # the log is far shorter then
    size = daemon.journal.stat().st_size
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (size + 20, -1))
    assert daemon.ask("F1") == "DUNNO"
    assert daemon.ask("F2", "free") == "DUNNO"
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
    daemon.logged("policy.journal is written again")
    assert len(daemon.logged("can't be written")) == 1
    assert through(daemon, 2, "B") == 2
    daemon.kill().start()
    assert daemon.used() == 5


def test_without_a_snapshot_nothing_is_limited(daemon):
    """Until something is applied, which counts at once."""
    (daemon.folder / "snapshot.json").unlink()
    daemon.start()
    assert through(daemon, 9, "A") == 9
    daemon.apply()
    assert daemon.ask("B0", revision="7") == "DUNNO"
    assert through(daemon, 9, "C") == 4


@pytest.mark.parametrize(
    "question",
    [
        b"nonsense\n",
        b"{}\n",
        b"[]\n",
        b'{"do": "nothing"}\n',
        b'{"do": []}\n',
        b'{"do": "queue"}\n',
        b'{"do": "queue", "lanes": [], "hold": [], "moving": []}\n',
        b'{"do": "done", "gone": 5, "absent": []}\n',
        b'{"do": "adopt", "messages": [{}], "ours": false}\n',
        b'{"do": "state", "counters": [1]}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_control_client_that_makes_no_sense(daemon, question):
    """It is hung up on, the daemon goes on, and no traceback is printed."""
    daemon.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(daemon.folder / "control.sock"))
        client.sendall(question)
        assert client.recv(4096) == b""
    assert daemon.ask("Q1") == "DUNNO"
    assert daemon.used() == 1
    assert daemon.stderr() == ""


def test_two_daemons_of_two_folders_know_nothing_of_each_other(daemon, tmp_path_factory):
    """Memory is one daemon's own."""
    other = Daemon(tmp_path_factory.mktemp("other")).configure().apply()
    try:
        assert through(daemon.start(), 9) == through(other.start(), 9) == 5
    finally:
        other.stop()
