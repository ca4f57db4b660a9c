"""What of the provider's answers is about our login, and so is the connector's fault. Pure."""

import re

from pointsman.postfix.replies import LOGIN

_FINAL = (2, 4, 5)  # first digits of an answer (RFC 5321, 4.2.1)
# The same table as the other lanes', of which Postfix reads the lines itself.
_ROWS = [
    (re.compile(pattern, re.IGNORECASE), re.sub(r"\$\{?(\d)\}?", r"\\g<\1>", answer))
    for pattern, answer in re.findall(r"^/(.*)/ (.*)$", LOGIN, re.MULTILINE)
]


def deferred(code: int, text: str) -> tuple[int, str]:
    """The answer, one about our login so that Postfix tries again: it must bounce no mail.

    What is no final answer of SMTP at all is none of the message's fault either.
    """
    if code // 100 not in _FINAL:
        return 451, f"4.5.0 the server answers {code} {text}"
    first, _, rest = f"{code} {text}".partition("\n")
    for pattern, answer in _ROWS:
        if pattern.match(first):
            first = pattern.sub(answer, first)
            break
    changed = "\n".join(filter(None, (first[4:], rest)))
    return int(first[:3]), changed


def is_about_login(code: int, text: str) -> bool:
    """Whether the message has nothing to do with it."""
    return code // 100 in _FINAL and deferred(code, text)[0] != code
