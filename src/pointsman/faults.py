"""What a server says of our login or account: the connector's fault, not the message's. Pure."""

import re
from dataclasses import dataclass, field

from pointsman.postfix.maillog import Delivery

QUIET = 3600.0  # seconds between two words about the same connector

# As the lane's filters left it (postfix/replies.py): a permanent answer about the login is
# a temporary one by now.
_OURS = re.compile(
    r"SASL authentication failed|no mail without a login|Server certificate"
    r"|said: 4(30|34|35|38)\b|said: 4\d\d[ -]4\.(1\.8|2\.252|4\.5)\b"
    r"|said: 4\d\d[ -]4\.7\.(0|3|8|9|14|30|57|60|64|139|50[123]|70[58]|750)\b"
    r"|not verified|for relay|SendAsDenied|[Ss]ending (is )?(paused|suspended)"
)


@dataclass
class Faults:
    """Who has been complained about, and when."""

    _quiet_until: dict[str, float] = field(default_factory=dict)

    def note(self, delivery: Delivery, now: float) -> str:
        """What somebody should hear of this delivery; '' for nothing, or nothing new."""
        if delivery.status != "deferred" or not _OURS.search(delivery.text):
            return ""
        if now < self._quiet_until.get(delivery.connector, float("-inf")):
            return ""
        self._quiet_until[delivery.connector] = now + QUIET
        return f"is refused by its server, its mail waits: {delivery.text}"
