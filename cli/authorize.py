"""`pointsman connector authorize`: a person agrees that a connector may send as their mailbox."""

import time

import click

from pointsman.cli.context import Context, pass_context
from pointsman.errors import PointsmanError
from pointsman.oauth import grants, vault
from pointsman.store.book import read
from pointsman.store.providers import ASKING, account_of, endpoints


@click.command()
@click.argument("name")
@pass_context
def authorize(ctx: Context, name: str) -> None:
    """Let a person agree that an oauth2 connector sends as its --username.

    With --oauth-flow device it prints an address and a code, to be entered in a browser on
    any machine, and waits. With --oauth-flow browser it prints an address, and asks for
    the one at which the browser ends.
    """
    connector = read(ctx.store).connector(name)
    if connector.auth != "oauth2":
        raise PointsmanError(f"connector {name} logs in by {connector.auth}, not oauth2")
    flow = endpoints(connector).flow
    if flow not in ASKING:
        raise PointsmanError(f"connector {name} needs no authorization: its flow is {flow}")
    client = vault.client_of(ctx.store, connector)
    token = _by_device(client) if flow == "device" else _by_browser(client)
    if not token.refresh:
        raise PointsmanError(
            "the provider gave no refresh token, so this would end within the hour: --scope must "
            "ask for offline access"
        )
    vault.keep(ctx.store, (name, account_of(connector)), token)
    click.echo(f"connector {name} may send as {connector.username}")


def _by_device(client: grants.Client) -> grants.Token:
    device = grants.begin_device(client)
    click.echo(f"as {client.username}, open {device.url} and enter the code {device.user_code}")
    interval, end = device.interval, time.monotonic() + device.lifetime
    while time.monotonic() < end:
        time.sleep(interval)
        answer = grants.ask_device(client, device, time.time())
        if isinstance(answer, grants.Token):
            return answer
        interval += grants.SLOWER if answer == "slow_down" else 0.0
    raise PointsmanError("nobody entered the code in time: run it again")


def _by_browser(client: grants.Client) -> grants.Token:
    browser = grants.begin_browser(client)
    click.echo(f"as {client.username}, open\n\n{browser.url}\n")
    click.echo(f"It ends at a page that can't be shown: {grants.REDIRECT}/?...")
    pasted = click.prompt("Its whole address", type=str)
    return grants.finish_browser(client, browser, pasted.strip(), time.time())
