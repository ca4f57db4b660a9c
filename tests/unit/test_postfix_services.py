"""What setup shows of the smtpd services before it asks."""

import pytest

from pointsman.postfix.services import Smtpd, address, reason

BACK = Smtpd("127.0.0.1:10025/inet", {"content_filter": "", "smtpd_milters": ""}, "")


@pytest.mark.parametrize(
    ("service", "shown"),
    [
        ("submission/inet", "all, port submission"),
        ("127.0.0.1:10025/inet", "127.0.0.1, port 10025"),
        ("[::1]:25/inet", "[::1], port 25"),
        ("smtpd/pass", "behind postscreen"),
        ("private/smtp/unix", "a unix socket"),
    ],
)
def test_address(service, shown):
    """Where there is no host, the service listens where inet_interfaces says."""
    assert address(Smtpd(service, {}, ""), "all") == shown


def test_reasons():
    """The sides of a content filter, and the option that keeps milters away."""
    front = Smtpd("smtp/inet", {}, "scan:[127.0.0.1]:10024")
    plain = Smtpd("smtp/inet", {}, "")
    assert reason(front, [front, BACK]) == "hands its mail to scan:[127.0.0.1]:10024"
    assert reason(BACK, [front, BACK]) == "takes mail back from the content filter"
    assert reason(BACK, [plain, BACK]) == "has -o smtpd_milters="
    assert reason(plain, [plain, BACK]) == ""
