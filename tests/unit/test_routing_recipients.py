"""Which recipients are outbound, and so ours to move."""

from dataclasses import replace

import pytest

from pointsman.routing.recipients import Recipient, is_lane, is_outbound, may_be_aliased


def around(town, **changes):
    """The town with other surroundings."""
    return replace(town, around=replace(town.around, **changes))


@pytest.mark.parametrize(
    ("address", "mailer", "host", "expected"),
    [
        ("<x@ext.test>", "smtp", "ext.test", True),
        ("<x@ext.test>", "smtp", "EXT.test.", True),
        ("<x@ext.test>", "smtp", None, True),
        ("<x@ext.test>", "smtp", "elsewhere.test", False),
        ("<x@ext.test>", "pm-a", "[h1.test]:587", True),
        ("<x@ext.test>", "pm-none", "none", True),
        ("<x@ext.test>", "pm-newer", "[h9.test]:587", True),
        ("<x@town.test>", "pm-a", "[h1.test]:587", True),
        ("<x@ext.test>", "pm-fax", "fax.test", False),
        ("<x@ext.test>", "local", "ext.test", False),
        ("<x@ext.test>", "virtual", "ext.test", False),
        ("<x@ext.test>", "relay", "ext.test", False),
        ("<x@ext.test>", "lmtp", "unix:private/x", False),
        ("<x@ext.test>", "error", "5.1.1 User unknown", False),
        ("<x@ext.test>", "dovecot", "ext.test", False),
        ("<x@ext.test>", "", "", False),
        ("<x@town.test>", "smtp", "town.test", False),
        ("<x@deep.relay.test>", "smtp", "deep.relay.test", False),
    ],
)
def test_postfix_answer_tells(town, address, mailer, host, expected):
    """Outbound is what a lane or the default transport takes to where it always does."""
    assert expected is is_outbound(town, Recipient(address, mailer, host))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("<x@ext.test>", True),
        ("<x@EXT.Test.>", True),
        ("<x@b\u00fccher.test>", True),
        ("<x@town.test>", False),
        ("<x@TOWN.test.>", False),
        ("<x@sub.town.test>", True),
        ("<x@relay.test>", False),
        ("<x@a.b.relay.test>", False),
        ("<x@norelay.test>", True),
        ("<root>", False),
        ("<>", False),
        ('<"x@ext.test>', False),
    ],
)
def test_sendmail_mail_is_told_by_its_domain(town, address, expected):
    """Where Postfix gives no answer, what is not hosted here is outbound."""
    assert expected is is_outbound(town, Recipient(address))


@pytest.mark.parametrize(
    ("default", "mailer", "expected"),
    [
        ("a", "pm-a", True),
        ("a", "pm-b", True),
        ("a", "smtp", False),
        ("none", "pm-none", True),
        ("none", "smtp", False),
        ("postfix", "smtp", True),
    ],
)
def test_default_relay_decides_which_transport_is_the_default(town, default, mailer, expected):
    """Once a lane is the default, `smtp` is an admin's own transport."""
    recipient = Recipient("<x@ext.test>", mailer, "ext.test")
    assert expected is is_outbound(replace(town, default=default), recipient)


@pytest.mark.parametrize(
    ("surroundings", "host", "expected"),
    [
        ({"relayhost": "[isp.test]:25"}, "[isp.test]:25", True),
        ({"relayhost": "[isp.test]:25"}, "[ISP.test]:25", True),
        ({"relayhost": "[isp.test]:25"}, "ext.test", False),
        ({"nexthop": "[way.test]", "relayhost": "[isp.test]:25"}, "[way.test]", True),
        ({"nexthop": "[way.test]", "relayhost": "[isp.test]:25"}, "[isp.test]:25", False),
        ({"relayhost_varies": True}, "[anything.test]:25", True),
    ],
)
def test_default_next_hop_is_the_admins(town, surroundings, host, expected):
    """The default transport with another next hop comes from a transport map: not ours."""
    recipient = Recipient("<x@ext.test>", "smtp", host)
    assert expected is is_outbound(around(town, **surroundings), recipient)


def test_default_transport_of_another_name(town):
    """`default_transport = slow` makes `slow` outbound and `smtp` somebody's own."""
    slow = around(town, transport="slow")
    assert is_outbound(slow, Recipient("<x@ext.test>", "slow", "ext.test"))
    assert not is_outbound(slow, Recipient("<x@ext.test>", "smtp", "ext.test"))


@pytest.mark.parametrize(
    ("mailer", "expected"),
    [
        ("pm-a", True),
        ("pm-unknown", True),
        ("pm-none", True),
        ("pm-fax", False),
        ("smtp", False),
        ("", False),
        (None, False),
    ],
)
def test_lane_is_known_by_its_name(town, mailer, expected):
    """A lane newer than the snapshot is a lane; a service of the admin's is none."""
    assert expected is is_lane(town, mailer)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("<boss@ext.test>", True),
        ("<BOSS@Ext.test.>", True),
        ("<other@ext.test>", False),
        ("<anyone@aliased.test>", True),
        ("<x@sub.aliased.test>", False),
        ('<"x@ext.test>', True),
        ("<boss+vip@ext.test>", True),
    ],
)
def test_alias_maps_may_lead_elsewhere(town, address, expected):
    """An alias of the address, of its domain or (as Postfix tries it) without +ext counts."""
    assert expected is may_be_aliased(town, Recipient(address))
