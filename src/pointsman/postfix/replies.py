"""What a lane reads into the server's replies: our login's faults, and AUTH that is missing.

Postfix asks `smtp_reply_filter` about each line of a reply by itself, and
`smtp_delivery_status_filter` about the outcome. Both are tables.
"""

from pathlib import Path

# Postfix goes on without a login where the server offers none (smtp_proto.c), and no
# setting forbids it. So the first line of the answer to EHLO gets one more line, that
# says SIZE 1: no message is that small, and Postfix refuses it by itself. The line that
# offers AUTH gets one that says SIZE 0, for no limit. The server's own SIZE must not
# lift the limit, so the lane does not read it; the server enforces it in any case.
#
# A name with a dot or an address tells EHLO's first line from its keywords (RFC 5321
# 4.1.1.1), and from most other replies, to which one more line does no harm.
EHLO = r"""/^(250[ -]AUTH[ =]+[^ ].*)$/ offer $1
/^(250[ -](?=[^ ]*[a-z:[])([a-z0-9_-]+\.[a-z0-9._-]+|\[[0-9a-f:.]+\]|localhost)( .*)?)$/ name $1
"""
_INSIST = """# Answers two lines where pcre can answer but one. The database is empty.
dbpath = {empty}
query = SELECT CASE
    WHEN '%s' LIKE 'offer %%' THEN
        substr('%s', 7, 4) || 'SIZE 0' || char(10) || substr('%s', 7)
    ELSE substr('%s', 6) || char(10) || substr('%s', 6, 4) || 'SIZE 1'
    END
"""
# A server that does not know EHLO would get mail by HELO, so without a login.
ESMTP = r"""/^250([ -])SIZE( .*)?$/ 250${1}X-SIZE$2
/^50[02][ -](.*)$/ 421 4.7.0 $1
"""
# What the server says of our login is the connector's fault, not the message's: 530,
# 534, 535 and 538 are about AUTH and TLS (RFC 4954, RFC 3207), as are these codes of
# Microsoft's; and what servers of several makers say to hosts for which they do not relay,
# for instance because they do not know our certificate (yet).
_RELAY = r"relay(ing)? (access )?(denied|not permitted)|unable to relay"
LOGIN = rf"""/^5(3[0458])([ -])5(\.\d+\.\d+.*)/ 4$1${{2}}4$3
/^5(3[0458])([ -].*)/ 4$1$2
/^5(5\d)([ -])5(\.7\.(3|8|9|14|30|54|57|60|64|139|50[123]|70[58]|750)\b.*)/ 4$1${{2}}4$3
/^5(5\d)([ -])5(\.1\.8 .*|\.2\.252\b.*|\.4\.5 .*)/ 4$1${{2}}4$3
/^5(5\d)([ -])5(\.\d+\.\d+ .*({_RELAY}).*)/ 4$1${{2}}4$3
/^5(5\d[ -].*({_RELAY}).*)/ 4$1
"""
# Postfix's submission service says this, of client host or recipient address, to everybody
# without a login. To a lane that has logged in it means the recipient.
STRANGER = r"""/^5(54 )5(\.7\.1 <.*>: [CR][a-z ]+ rejected: Access denied)$/ 4${1}4$2
"""
# The same by the words of a whole reply, where the code says less: Google's relay, SES,
# Microsoft's submission. And what smtp(8) would bounce: a host that does not resolve,
# that leads back here, and the limit above.
_WORDS = (
    r"Invalid credentials for relay|(Daily|Mail) (SMTP )?relay (limit|denied)"
    r"|Email address(es)? (is|are) not verified|[Ss]ending (is )?(paused|suspended)"
    r"|SendAsDenied|OutboundSpamException|SubmissionQuotaExceeded|TenantAttribution"
    r"|SmtpClientAuthentication is disabled"
)
# And of a next hop that a lane does not serve (lane.py), which is no trouble of the server's.
_NO_AUTH = "4.7.0 no mail without a login: no AUTH offered by"
STATUSES = rf"""/^5\.3\.4 message size \d+ exceeds size limit 1 of (server .*)/ {_NO_AUTH} $1
/^5(\.\d+\.\d+ .* said: .*({_WORDS}).*)/ 4$1
/^5(\.4\.4 unable to look up host .*)/ 4$1
/^5(\.4\.4 Host or domain name not found.*)/ 4$1
/^5(\.4\.6 mail for .* loops back to myself.*)/ 4$1
/^4\.7\.5 client TLS configuration problem$/ 4.3.5 not a host of this connector, or not yet
"""


def files(folder: Path) -> dict[str, str]:
    """The tables, by name within the tables' folder."""
    return {
        "ehlo.pcre": EHLO,
        "insist.cf": _INSIST.format(empty=folder / "empty.db"),
        "empty.db": "",
        "esmtp.pcre": ESMTP,
        "replies.pcre": LOGIN,
        "stranger.pcre": STRANGER,
        "statuses.pcre": STATUSES,
    }
