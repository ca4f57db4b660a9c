"""Every listing on a real terminal of 80 columns, and what a pipe gets."""

import os
import pty
import subprocess
import sys
import termios

import pytest

LISTINGS = [
    ("agency", "list"),
    ("agency", "show", "court"),
    ("connector", "list"),
    ("connector", "show", "smtp"),
    ("sender", "list"),
    ("usage",),
    ("history",),
    ("host", "list"),
]
NAME = "noreply-of-the-campaigns@newsletter.court.example"


def program(admin, arguments):
    """The command line of the program itself."""
    start = [sys.executable, "-m", "pointsman.cli.main", "--config", str(admin.config_file)]
    return [*start, *arguments]


def on_screen(admin, *arguments, columns=80):
    """What stands on a terminal after a command, sentences about trouble apart."""
    keyboard, screen = pty.openpty()
    termios.tcsetwinsize(screen, (25, columns))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with subprocess.Popen(
        program(admin, arguments),
        stdin=screen,
        stdout=screen,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        os.close(screen)
        found = b""
        while piece := _read(keyboard):
            found += piece
        os.close(keyboard)
    assert process.returncode == 0, found
    return found.decode().replace("\r\n", "\n")


def _read(keyboard):
    try:
        return os.read(keyboard, 65536)
    except OSError:  # the program has ended: the terminal's other side is gone
        return b""


@pytest.fixture
def crowded(admin):
    """Long names, several servers, a pause and a diversion with reasons, an address as login."""
    two = ("--host", "mx-out-1.relay.provider.example:587", "--host", "mx-out-2.provider.example")
    admin.do("connector", "add", "microsoft-365-tenant-north-01", *two, "--description", "till May")
    admin.do("agency", "set", "court", "--login", NAME, "--login", "batch", "--description", "A B")
    link = ("--agency", "court", "--connector")
    admin.do("sender", "link", NAME, *link, "microsoft-365-tenant-north-01", "--rate", "9/minute")
    admin.do("agency", "pause", "court", "--for", "2h", "--reason", "audit of the books, see 4711")
    admin.do("connector", "divert", "smtp", "--to", "relay", "--for", "4h", "--reason", "it burns")
    return admin


@pytest.mark.parametrize("listing", LISTINGS, ids=" ".join)
def test_listing_fits_80_columns(crowded, listing):
    """And what a pipe gets has every column, a row a line."""
    text = on_screen(crowded, *listing)
    assert max(map(len, text.splitlines())) <= 80
    piped = subprocess.run(
        program(crowded, listing), capture_output=True, text=True, check=True
    ).stdout
    assert {word for word in piped.split() if "@" in word} <= set(text.split())


def test_time_names_its_zone(crowded):
    """In the short spelling of UTC, which ISO 8601 has for it."""
    assert crowded.do("history").splitlines()[2].split()[1].endswith("Z")
    assert "Z until " in crowded.do("agency", "show", "court")


def test_empty_list_says_what_fills_it(admin):
    """Not one that a filter has emptied."""
    assert "connector add" not in admin.do("connector", "list", "--starts-with", "x")
    assert admin.do("host", "list").startswith("-- 0 hosts: ")
    for key in ("clerk@a.test", "@a.test", "@stopped.test"):
        admin.do("sender", "unlink", key)
    assert admin.do("sender", "list") == "-- 0 senders: `pointsman sender link` links one\n"
