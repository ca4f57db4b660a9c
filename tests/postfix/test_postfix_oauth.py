"""oauth2 connectors end to end: a real Postfix, tokens by HTTP, XOAUTH2 over TLS."""

import pytest

from tests.postfix.oauth_town import MAILBOX, arrived, oauth_town


@pytest.mark.parametrize(
    ("flow", "tls"), [("client-credentials", "starttls"), ("service-account", "tls")]
)
def test_app_only_mail_is_delivered(flow, tls):
    """No person agrees; the server sees the mailbox's login, and the sender as written."""
    with oauth_town(flow, tls=tls) as city:
        city.send("bounce@vendor.test", "clerk@a.test", "hello")
        transaction = arrived(city, "hello")
        assert transaction.login == MAILBOX
        assert transaction.mail.startswith("MAIL FROM:<bounce@vendor.test>")
        assert transaction.recipients[0].startswith("RCPT TO:<someone@example.net>")
