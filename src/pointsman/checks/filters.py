"""Content filters, which see mail before the milter or give it back behind it. Pure."""

from collections.abc import Iterator

from pointsman.checks.facts import Facts, Service
from pointsman.checks.finding import Found


def proxy_filter(facts: Facts) -> Iterator[Found]:
    """Behind `smtpd_proxy_filter` the milter sees neither header nor body."""
    name = "smtpd_proxy_filter"
    for service in facts.postfix.of("smtpd"):
        proxy = facts.postfix.value(name, service)
        if proxy:
            text = f"passes its mail through the filter at {proxy}: the milter sees no header"
            yield Found(f"service {service.name}", text, _after_queue(facts, service, proxy))


def _after_queue(facts: Facts, service: Service, proxy: str) -> str:
    """The same filter, asked after the queue: the milter has decided by then."""
    host, _, port = proxy.removeprefix("inet:").rpartition(":")
    filter_ = f"smtp:[{(host or '127.0.0.1').strip('[]')}]:{port}"
    inside = "smtpd_proxy_filter" in service.options
    where = (
        ["-PX", f"{service.name}/smtpd_proxy_filter"] if inside else ["-X", "smtpd_proxy_filter"]
    )
    away = facts.command("postconf", *where)
    put = facts.command("postconf", "-P", f"{service.name}/content_filter={filter_}")
    reload = facts.command("postfix", "reload")
    return (
        f"filter after the queue: `{away} && {put} && {reload} && {facts.pointsman('setup')}`; "
        "the filter must then let mail through or bounce it, and can't refuse it any more"
    )


def without_return(facts: Facts) -> Iterator[Found]:
    """A content filter, and no service that is known to take its mail back.

    What it gives back gets no lane, unless Postfix's table of senders has it.
    """
    services = list(facts.postfix.of("smtpd"))
    front = next((s for s in services if facts.postfix.value("content_filter", s)), None)
    if front is None or any(s.loopback and s.options.get("content_filter") == "" for s in services):
        return
    back = next((s for s in services if s.loopback), Service("127.0.0.1:10025/inet"))
    yield Found(
        f"service {front.name}",
        f"has the content filter {facts.postfix.value('content_filter', front)}, but no service on "
        "a loopback address has `-o content_filter=`: what comes back takes no lane",
        "have the filter give mail back by SMTP, to a service of its own, then "
        + facts.then_setup("postconf", "-P", f"{back.name}/content_filter="),
    )
