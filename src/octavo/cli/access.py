"""access: who may do what; people, services, their roles and keys."""

from typing import Annotated

import typer

from octavo.access.document import Held
from octavo.cli import access_keys
from octavo.cli.options import Json
from octavo.cli.output import emit_json, plain, say, show_facts, show_table
from octavo.cli.session import ask, open_session
from octavo.governance.access import requests as access
from octavo.governance.access.accounts import Account, Grant
from octavo.governance.access.explaining import Explanation
from octavo.principals import PERSON, SERVICE

Name = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="Of a person or service; user:NAME is one of this machine.")
]
RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="See: octavo access roles")]
OfModel = Annotated[str | None, typer.Option("--model", help="Only for this model and its deployments.")]
OfDeployment = Annotated[str | None, typer.Option("--deployment", help="Only for this deployment.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(invoke_without_command=True)
    commands.callback()(overview)
    commands.command()(add)
    commands.command()(disable)
    commands.command()(enable)
    commands.command()(grant)
    commands.command()(revoke)
    commands.command()(roles)
    commands.command()(whoami)
    commands.command()(explain)
    commands.command()(matrix)
    access_keys.register(commands)
    app.add_typer(commands, name="access")


def overview(context: typer.Context, json: Json = False) -> None:
    """Show who may call, and what each may; give and take roles and keys.

    \b
    Examples:
      octavo access
      octavo access add ada
      octavo access grant ada approver --model arrival_delay
      octavo access keys create ci --scope predictions:write
      octavo access explain releases.start --account ada --deployment eta

    \b
    Next:
      octavo access roles
    """
    if context.invoked_subcommand is not None:
        return
    found: tuple[access.AccountSummary, ...] = ask(access.ListAccounts())
    if json:
        emit_json(found)
        return
    show_table(
        ["account", "kind", "?roles", "keys", "last login", "?owner"],
        (
            [
                one.account.name,
                f"{one.account.account_kind}, disabled" if one.account.is_disabled else one.account.account_kind,
                ", ".join(map(_role, one.roles)) or "none",
                one.keys,
                one.account.logged_in_at or "",
                f"{one.account.owner}, disabled" if one.owner_is_disabled else one.account.owner,
            ]
            for one in found
        ),
        empty="Nobody but this machine's own tokens. Add somebody with: octavo access add NAME",
    )


def add(
    account: Name,
    service: Annotated[
        bool, typer.Option("--service", help="A program, which logs in nowhere and approves nothing.")
    ] = False,
    owner: Annotated[str, typer.Option(help="The person who answers for a service.")] = "",
    identity: Annotated[
        str, typer.Option(help="Issuer, a space and the subject there, for logins by OpenID Connect.")
    ] = "",
    local_user: Annotated[str, typer.Option(help="Who a person is on this machine, user:NAME.")] = "",
    json: Json = False,
) -> None:
    """Add a person or a service.

    \b
    Examples:
      octavo access add ada
      octavo access add ci --service --owner ada

    \b
    Next:
      octavo access grant ACCOUNT ROLE
    """
    kind = SERVICE if service else PERSON
    made: Account = ask(
        access.AddAccount(account=account, kind=kind, owner=owner, identity=identity, local_user=local_user)
    )
    if json:
        emit_json(made)
        return
    name = plain(made.name)
    say(f"Added the {made.account_kind} {name}. It may nothing yet: octavo access grant {name} ROLE")


def disable(account: Name, json: Json = False) -> None:
    """Take no call of an account any more, and end its sessions.

    \b
    Example:
      octavo access disable ada

    \b
    Next:
      octavo access enable ada
    """
    changed: Account = ask(access.DisableAccount(account=account))
    if json:
        emit_json(changed)
        return
    say(f"{plain(changed.name)} may no longer call, by no key and no session.")


def enable(account: Name, json: Json = False) -> None:
    """Take calls of an account again.

    \b
    Example:
      octavo access enable ada

    \b
    Next:
      octavo access
    """
    changed: Account = ask(access.EnableAccount(account=account))
    if json:
        emit_json(changed)
        return
    say(f"{plain(changed.name)} may call again.")


def grant(
    account: Name,
    role: RoleName,
    model: OfModel = None,
    deployment: OfDeployment = None,
    lasts: Annotated[str | None, typer.Option(help="How long, such as 7d; for good unless given.")] = None,
    json: Json = False,
) -> None:
    """Give somebody a role: for the whole project, a model or a deployment.

    \b
    Examples:
      octavo access grant ada viewer
      octavo access grant ada approver --model arrival_delay --lasts 7d

    \b
    Next:
      octavo access explain releases.approve --account ada --model arrival_delay
    """
    given: Grant = ask(access.GrantRole(account=account, role=role, model=model, deployment=deployment, lasts=lasts))
    if json:
        emit_json(given)
        return
    until = "" if given.until is None else f", until {given.until:%Y-%m-%d %H:%M} UTC"
    say(f"{plain(given.account)} is {plain(_role(_held(given)))} now{until}.")


def revoke(
    account: Name, role: RoleName, model: OfModel = None, deployment: OfDeployment = None, json: Json = False
) -> None:
    """Take a role back, as it was given; sessions of whoever loses one end.

    \b
    Example:
      octavo access revoke ada approver --model arrival_delay

    \b
    Next:
      octavo access explain releases.approve --account ada
    """
    ended: Grant = ask(access.RevokeRole(account=account, role=role, model=model, deployment=deployment))
    if json:
        emit_json(ended)
        return
    say(f"{plain(ended.account)} is no longer {plain(_role(_held(ended)))}.")


def roles(json: Json = False) -> None:
    """Show the roles, and what each may.

    \b
    Example:
      octavo access roles

    \b
    Next:
      octavo access grant ACCOUNT ROLE
    """
    found: tuple[access.Role, ...] = ask(access.ListRoles())
    if json:
        emit_json(found)
        return
    show_table(
        ["role", "?what for", "?permissions"],
        ([role.name, role.summary, " ".join(role.permissions)] for role in found),
        empty="There is no role.",
    )


def whoami(json: Json = False) -> None:
    """Show as whom commands act here, and what that account may.

    \b
    Example:
      octavo access whoami

    \b
    Next:
      octavo access explain releases.start --deployment NAME
    """
    me: access.Whoami = ask(access.WhoAmI())
    if json:
        emit_json(me)
        return
    everywhere = "everything" if "*" in me.permissions else " ".join(me.permissions) or "nothing"
    show_facts(
        [
            ("name", me.name),
            ("kind", me.kind),
            ("may", everywhere),
            *(
                (
                    f"{one.about} {one.name}",
                    "everything" if "*" in one.permissions else " ".join(sorted(one.permissions)),
                )
                for one in me.limited
            ),
        ]
    )


def explain(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="An operation, such as releases.start, or a permission.")],
    account: Annotated[str | None, typer.Option(help="Whom it is about; yourself unless given.")] = None,
    model: OfModel = None,
    deployment: OfDeployment = None,
    json: Json = False,
) -> None:
    """Explain why somebody may do something, or why not.

    \b
    Examples:
      octavo access explain releases.start --account ada --deployment eta
      octavo access explain predictions:write --account ci

    \b
    Next:
      octavo access grant ACCOUNT ROLE
    """
    found: Explanation = ask(access.ExplainAccess(what=what, account=account, model=model, deployment=deployment))
    if json:
        emit_json(found)
        return
    say(f"{'Yes' if found.allowed else 'No'}: {plain(found.because)}.")
    say(f"It takes {plain(found.permission)}, which these roles hold: {', '.join(found.roles)}.")
    if found.fix:
        say(f"For it, {plain(found.fix)}")


def matrix(
    csv: Annotated[bool, typer.Option("--csv", help="As comma-separated values.")] = False, json: Json = False
) -> None:
    """Show every way in, of all processes, and which roles it is open to.

    \b
    Example:
      octavo access matrix --csv

    \b
    Next:
      octavo access explain OPERATION --account NAME
    """
    from octavo.cli.ways_in import as_csv, ways_in

    with open_session() as session:
        ways = ways_in(session.context, session.dispatcher)
    if json:
        emit_json(ways)
        return
    if csv:
        typer.echo(as_csv(ways), nl=False)
        return
    show_table(
        ["door", "method", "path", "permission", "?roles"],
        ([way.door, way.method, way.path, way.permission, way.told] for way in ways),
        empty="There is no way in.",
    )


def _held(given: Grant) -> Held:
    return Held(role=given.role, about=given.about, name=given.thing)


def _role(held: Held) -> str:
    return held.role if not held.about else f"{held.role} of the {held.about} {held.name}"
