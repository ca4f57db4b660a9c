"""Content filters, which see mail before the milter or give it back behind it. Pure."""

from collections.abc import Iterator

from pointsman.checks.facts import Facts, Service, items
from pointsman.checks.finding import Found
from pointsman.checks.overruling import RESTRICTIONS


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
    return (
        f"filter after the queue: `{away} && {put} && {facts.command('postfix', 'reload')}`; "
        "the filter must then let mail through or bounce it, and can't refuse it any more"
    )


def filter_returns(facts: Facts) -> Iterator[Found]:
    """A content filter gives mail back to a service that asks the milter again.

    Mail is counted twice, its login is gone, and carriers are refused.
    """
    for service in facts.postfix.of("smtpd"):
        given = items(facts.postfix.value("receive_override_options", service))
        asked = facts.asks_milter(service) and "no_milters" not in given
        if not facts.takes_back(service) or not asked:
            continue
        rest = [item for item in facts.milter_items(service) if not facts.means_milter(item)]
        text = (
            "takes mail back from a content filter and asks the milter again: it is counted twice, "
            "its login is gone, and carriers are refused"
        )
        value = ",".join([*given, "no_milters"])
        fix = (
            facts.putting_option(service, "receive_override_options", value)
            if not rest
            else facts.putting_option(service, "smtpd_milters", ",".join(rest))
        )
        yield Found(f"service {service.name}", text, fix)


def filter_by_pipe(facts: Facts) -> Iterator[Found]:
    """A content filter gives mail back by sendmail(1): the milter is asked again."""
    pipes = {s.fields[0] for s in facts.postfix.of("pipe")}
    for service in facts.postfix.of("smtpd"):
        name = facts.postfix.value("content_filter", service).partition(":")[0]
        if name in pipes:
            yield Found(
                f"service {service.name}",
                f"has the content filter {name}, a pipe(8): what it gives back by sendmail(1) "
                "passes the milter again, without a login",
                "have the filter take and return mail by SMTP, to a service of its own with "
                "-o content_filter= -o receive_override_options=no_milters (FILTER_README, "
                '"Advanced content filter")',
            )


def filter_refuses_carriers(facts: Facts) -> Iterator[Found]:
    """A service to which a content filter gives mail back refuses carriers.

    DNS does not know their domain.
    """
    for service in filter(facts.takes_back, facts.postfix.of("smtpd")):
        for name in RESTRICTIONS:
            rules = items(facts.postfix.value(name, service))
            if "reject_unknown_sender_domain" not in rules:
                continue
            rest = ",".join(r for r in rules if r != "reject_unknown_sender_domain")
            text = f"takes mail back from a filter, and its {name} refuse carriers (.pm.invalid)"
            yield Found(f"service {service.name}", text, facts.putting_option(service, name, rest))
