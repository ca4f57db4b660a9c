"""What a server says of our login makes mail wait; all else is passed on as it is."""

import pytest

from pointsman.submit.answers import deferred, is_about_login

LOGIN = {
    (535, "5.7.3 Authentication unsuccessful"): (435, "4.7.3 Authentication unsuccessful"),
    (535, "no"): (435, "no"),
    (530, "5.7.57 Client not authenticated\nto send mail"): (
        430,
        "4.7.57 Client not authenticated\nto send mail",
    ),
    (550, "5.7.30 Basic authentication is not supported"): (
        450,
        "4.7.30 Basic authentication is not supported",
    ),
    (554, "5.7.60 not allowed to send as this sender"): (
        454,
        "4.7.60 not allowed to send as this sender",
    ),
}
OTHER = [
    (250, "2.0.0 ok"),
    (250, ""),
    (421, "4.3.2 later"),
    (550, "5.1.1 no such user"),
    (550, "5.7.1 spam"),
    (550, "5.7.300 no"),
    (552, "5.2.2 full"),
]


@pytest.mark.parametrize("answer", LOGIN)
def test_about_our_login(answer):
    """4xx, and somebody is told."""
    assert deferred(*answer) == LOGIN[answer]
    assert is_about_login(*answer)


@pytest.mark.parametrize("answer", OTHER)
def test_about_the_message(answer):
    """As it is."""
    assert deferred(*answer) == answer
    assert not is_about_login(*answer)


@pytest.mark.parametrize("code", [-1, 0, 100, 220 + 100, 354, 600, 999])
def test_what_is_no_answer(code):
    """It must not bounce, and not count as delivered."""
    assert deferred(code, "what")[0] == 451
    assert not is_about_login(code, "what")
