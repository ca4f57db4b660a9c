"""main.cf and master.cf without us, whatever an admin edits meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.postfix.without import Ours, entries, main_cf, master_cf, options

OURS = Ours(
    ("/etc/postfix/pointsman/", "pointsman_milter", "=pointsman-cleanup"),
    {"enable_long_queue_ids": "yes", "default_transport": "pm-.*"},
)
MAIN = """# Mail for the town
myhostname = mx.town.example
smtpd_milters =
    inet:127.0.0.1:8891,
# the new one
    inet:127.0.0.1:8892

relayhost = [relay.town.example]
"""
WIRED = """# Mail for the town
myhostname = mx.town.example
smtpd_milters = inet:127.0.0.1:8891, inet:127.0.0.1:8892, $pointsman_milter
# the new one

relayhost = [relay.town.example]
pointsman_milter = { unix:pointsman/milter.sock, default_action=tempfail }
enable_long_queue_ids = yes
smtp_generic_maps = pcre:/etc/postfix/pointsman/decode.pcre
"""
MASTER = """# service type
smtp      inet  n       -       y       -       -       smtpd
#submission inet n - y - - smtpd
pickup    unix  n       -       y       60      1       pickup
maildrop  unix  -       n       n       -       -       pipe
  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}
"""
LANE = """pm-a       unix  -       -       n       -       5       smtp
    -o { smtp_generic_maps = pcre:/etc/postfix/pointsman/decode.pcre }
"""
WIRED_MASTER = MASTER.replace(
    "1       pickup\n", "1       pickup\n    -o cleanup_service_name=pointsman-cleanup\n"
)


def test_untouched_file_is_the_one_before():
    """Byte for byte, whatever postconf made of it."""
    assert main_cf(WIRED, WIRED, MAIN, OURS) == MAIN
    assert master_cf(WIRED_MASTER + LANE, WIRED_MASTER + LANE, MASTER, OURS) == MASTER


def test_edit_elsewhere_stays_and_ours_goes():
    """What the admin has not touched goes back to the very text it had."""
    edited = WIRED.replace("mx.town", "mail.town") + "# and one more\nbiff = no\n"
    expected = MAIN.replace("mx.town", "mail.town")
    after = main_cf(edited, WIRED, MAIN, OURS)
    assert after.startswith(expected.split("# the new one")[0])
    assert after.endswith("relayhost = [relay.town.example]\n# and one more\nbiff = no\n")
    assert "pointsman" not in after


def test_edited_list_loses_our_item_alone():
    """The admin took one milter out, and ours goes too."""
    edited = WIRED.replace("inet:127.0.0.1:8892, ", "")
    after = main_cf(edited, WIRED, MAIN, OURS)
    assert "smtpd_milters = inet:127.0.0.1:8891\n" in after


def test_edited_fixed_value_is_the_admins():
    """Who sets a value of ours to something else means it."""
    edited = WIRED.replace("enable_long_queue_ids = yes", "enable_long_queue_ids = no")
    assert "enable_long_queue_ids = no\n" in main_cf(edited, WIRED, MAIN, OURS)


def test_edited_service_loses_our_option_alone():
    """An option of the admin's beside ours stays."""
    edited = WIRED_MASTER.replace("=pointsman-cleanup\n", "=pointsman-cleanup\n    -o a=b\n")
    expected = MASTER.replace("1       pickup\n", "1       pickup\n    -o a=b\n")
    assert master_cf(edited + LANE, WIRED_MASTER + LANE, MASTER, OURS) == expected


def test_changed_option_goes_back():
    """A service's own list of milters had ours added, and no_milters taken out."""
    before = (
        "x inet n - y - - smtpd\n  -o smtpd_milters=\n  -o receive_override_options=no_milters\n"
    )
    wired = (
        "x inet n - y - - smtpd\n  -o smtpd_milters=$pointsman_milter\n"
        "  -o receive_override_options=\n"
    )
    edited = wired + "  -o more=yes\n"
    assert master_cf(edited, wired, before, OURS) == before + "  -o more=yes\n"


def test_nothing_of_ours_stays_after_a_kill():
    """Killed between the edit and the note of it, ours is known by its marks."""
    now = WIRED + "default_transport = pm-a:[h]:25\n"
    after = main_cf(now, MAIN, MAIN, OURS)
    assert "pointsman" not in after
    assert "default_transport" not in after
    assert "enable_long_queue_ids" not in after
    assert master_cf(WIRED_MASTER + LANE, MASTER, MASTER, OURS) == MASTER


@pytest.mark.parametrize("text", [MAIN, WIRED, MASTER, WIRED_MASTER + LANE, "", "x", "\n\n# a"])
def test_entries_joined_are_the_file(text):
    """No byte is lost."""
    assert "".join(e.text for e in entries(text, str)) == text


def test_options_with_braces():
    """Both spellings of master(5), one behind a comment."""
    entry = "a inet - smtpd\n  -o x=y\n# -o no=no\n  -o { z = {a b} c }"
    assert options(entry) == {"x": "y", "z": "{a b} c"}


NAMES = st.sampled_from(
    ["biff", "myorigin", "mynetworks", "x_y", "relayhost", "message_size_limit"]
)
LINES = st.one_of(
    st.builds("{} = {}\n".format, NAMES, st.sampled_from(["a", "b, c", "{ d e }", "$f"])),
    st.sampled_from(["\n", "# note\n", "   \n", "#relayhost = x\n"]),
    st.builds("{} =\n    {},\n# why\n    {}\n".format, NAMES, st.just("a"), st.just("b")),
)


PAIRS = [  # as wired, as without us
    ("# Mail for the town\n", "# Mail for the town\n"),
    ("myhostname = mx.town.example\n", "myhostname = mx.town.example\n"),
    (WIRED.splitlines(keepends=True)[2], "".join(MAIN.splitlines(keepends=True)[2:6])),
    ("\n", "\n"),
    ("relayhost = [relay.town.example]\n", "relayhost = [relay.town.example]\n"),
    *((line, "") for line in WIRED.splitlines(keepends=True)[6:]),
]


@given(st.lists(st.tuples(st.integers(0, 200), LINES, st.booleans()), max_size=100))
def test_random_edits_survive(edits):
    """A hundred edits between setup and teardown, anywhere but within our own entries."""
    pairs = list(PAIRS)
    for at, line, remove in edits:
        if remove:
            theirs = [n for n, (wired, plain) in enumerate(pairs) if wired == plain]
            if theirs:
                del pairs[theirs[at % len(theirs)]]
        else:
            pairs.insert(at % (len(pairs) + 1), (line, line))
    now, expected = ("".join(side) for side in zip(*pairs, strict=True))
    left = "".join(wired for wired, _ in PAIRS)
    assert main_cf(now, left, "".join(plain for _, plain in PAIRS), OURS) == expected
