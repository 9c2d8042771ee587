"""access keys: what programs and people call with."""

from typing import Annotated

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, note, plain, say, show_table
from octavo.cli.session import ask
from octavo.governance.access import requests as access

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose it is.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="Its id, the part between the underscores.")]


def register(commands: typer.Typer) -> None:
    """Add the commands below `octavo access`."""
    keys = typer.Typer(invoke_without_command=True)
    keys.callback()(list_keys)
    keys.command("create")(create_key)
    keys.command("revoke")(revoke_key)
    keys.command("rotate")(rotate_key)
    commands.add_typer(keys, name="keys")


def list_keys(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    json: Json = False,
) -> None:
    """Show keys and tokens of this machine; make, change and revoke them.

    \b
    Examples:
      octavo access keys
      octavo access keys create ci --scope predictions:write --lasts 30d
      octavo access keys rotate 8Qw2bT0xLc
      octavo access keys revoke 8Qw2bT0xLc

    \b
    Next:
      octavo access keys create ACCOUNT
    """
    if context.invoked_subcommand is not None:
        return
    found: tuple[access.KeySummary, ...] = ask(access.ListKeys(account=account))
    if json:
        emit_json(found)
        return
    show_table(
        ["key", "account", "state", "expires", "last used", "?scopes", "?note"],
        (
            [
                key.id,
                key.account,
                "revoked" if key.revoked_at else "live" if key.live else "expired",
                key.expires_at or "",
                key.used_at or "",
                " ".join(key.scopes) or "all",
                key.note,
            ]
            for key in found
        ),
        empty="No key. Make one with: octavo access keys create ACCOUNT",
    )


def create_key(
    account: Account,
    scope: Annotated[
        list[str] | None, typer.Option(help="A permission that it carries; all of its account's unless given.")
    ] = None,
    lasts: Annotated[str, typer.Option(help="Such as 30d; as [access] keys_last says unless given.")] = "",
    about: Annotated[str, typer.Option("--note", help="What it is for.")] = "",
    json: Json = False,
) -> None:
    """Make a key for an account. It is shown this once.

    \b
    Example:
      octavo access keys create ci --scope predictions:write --lasts 30d

    \b
    Next:
      curl -H "Authorization: Bearer KEY" ...
    """
    made: access.MadeKey = ask(access.CreateKey(account=account, scopes=tuple(scope or ()), lasts=lasts, note=about))
    _show_made(made, json=json)


def revoke_key(key: Key, json: Json = False) -> None:
    """End a key now: everywhere within a second.

    \b
    Example:
      octavo access keys revoke 8Qw2bT0xLc

    \b
    Next:
      octavo access keys
    """
    ended: access.KeySummary = ask(access.RevokeKey(key=key))
    if json:
        emit_json(ended)
        return
    say(f"The key {ended.id} of {plain(ended.account)} is worthless now.")


def rotate_key(
    key: Key,
    overlap: Annotated[str, typer.Option(help="How long both are good.")] = "24h",
    json: Json = False,
) -> None:
    """Make a key in another's place, which ends a while later.

    \b
    Example:
      octavo access keys rotate 8Qw2bT0xLc --overlap 2d

    \b
    Next:
      octavo access keys
    """
    _show_made(ask(access.RotateKey(key=key, overlap=overlap)), json=json)


def _show_made(made: access.MadeKey, *, json: bool) -> None:
    if json:
        emit_json(made)
        return
    until = f"{made.key.expires_at:%Y-%m-%d %H:%M} UTC" if made.key.expires_at else ""
    note(f"A key of {plain(made.key.account)}, good until {until}, shown this once:")
    say(plain(made.text))
