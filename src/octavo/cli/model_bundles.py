"""models card, bom, verify, sign, export, vouch: what a version's bundle tells, and what is said about it."""

from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.failures import EXIT_CODES
from octavo.cli.options import Json, Model
from octavo.cli.output import emit_json, note, plain, say, show_table
from octavo.cli.session import ask
from octavo.errors import Conflict, IntegrityError
from octavo.registry.bundle_operations import (
    ApproveUnsafe,
    FetchedVersion,
    FetchVersion,
    ShowCard,
    ShowMaterials,
    SignVersion,
    Verified,
    VerifyVersion,
    VersionCard,
)
from octavo.registry.bundles import is_safe_name
from octavo.registry.unsafe import UnsafeApproval
from octavo.registry.versions import ModelVersion

Version = Annotated[int, typer.Argument(metavar="VERSION", help="The version's number.")]


def register(commands: typer.Typer) -> None:
    """Add the commands to those of models."""
    for command in (card, bom, verify, sign, export, vouch):
        commands.command()(command)


def card(model: Model, version: Version, json: Json = False) -> None:
    """Show the model card of a version: what it is for, how well it does, where it ends.

    \b
    Examples:
      octavo models card arrival_delay 1
      octavo models card arrival_delay 1 --json

    \b
    Next:
      octavo models bom arrival_delay 1
    """
    found: VersionCard = ask(ShowCard(model=model, version=version))
    if json:
        emit_json(found)
        return
    typer.echo(found.text, nl=False)
    if found.lacking:
        note(f"[yellow]Warning:[/] {plain(found.lacking)}")


def bom(model: Model, version: Version, json: Json = False) -> None:
    """Print the bill of materials of a version: CycloneDX 1.6, JSON, with its model card.

    \b
    Example:
      octavo models bom arrival_delay 1 > arrival_delay-1.cdx.json

    \b
    Next:
      octavo models verify arrival_delay 1
    """
    typer.echo(ask(ShowMaterials(model=model, version=version)))


def verify(model: Model, version: Version, json: Json = False) -> None:
    """Verify a version: every byte, its signatures, its format, and what must be declared.

    Nothing is asked of anybody but the stores, so it works offline. It ends with 11 if something does not hold.

    \b
    Example:
      octavo models verify arrival_delay 1

    \b
    Next:
      octavo models sign arrival_delay 1
      octavo deployments release eta --version 1
    """
    found: Verified = ask(VerifyVersion(model=model, version=version))
    if json:
        emit_json(found)
    else:
        show_table(["", "holds", "evidence"], ([c.what, c.holds, c.said] for c in found.checks), empty="Nothing.")
    if not found.holds:
        raise typer.Exit(EXIT_CODES[IntegrityError])


def sign(model: Model, version: Version, json: Json = False) -> None:
    """Sign a version anew, as [signing] says; one of before it was signed, or after another key.

    \b
    Example:
      octavo models sign arrival_delay 1

    \b
    Next:
      octavo models verify arrival_delay 1
    """
    signed: ModelVersion = ask(SignVersion(model=model, version=version))
    if json:
        emit_json(signed)
        return
    say(f"Signed {model} {version}: {signed.oms}")


def export(
    model: Model,
    version: Version,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where its own folder is made.")],
    json: Json = False,
) -> None:
    """Write a version into a folder of its own, with its signature beside it, to hand it on.

    The OpenSSF's tool verifies what is written: model_signing verify key --public_key .octavo/keys/models.pub
    --signature arrival_delay-1.sig arrival_delay-1

    \b
    Example:
      octavo models export arrival_delay 1 ./handed-on

    \b
    Next:
      octavo bundles verify ./handed-on/arrival_delay-1
    """
    fetched: FetchedVersion = ask(FetchVersion(model=model, version=version))
    place = folder / fetched.folder
    if place.exists():
        raise Conflict(f"{place} is there already; move it away, or give another folder")
    for name, data in fetched.files.items():
        if name != "bundle.json" and not is_safe_name(name):
            raise IntegrityError(f"the bundle names a file {name!r}, which is not written")
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    signature = place.with_name(f"{fetched.folder}.sig")
    if fetched.signature:
        signature.write_bytes(fetched.signature)
    if json:
        emit_json({"folder": str(place), "signature": str(signature) if fetched.signature else None})
        return
    say(f"Wrote {len(fetched.files)} files to {plain(place)}, and {plain(signature.name)} beside it.")


def vouch(
    model: Model,
    version: Version,
    note: Annotated[str, typer.Option(help="Why its code may run; kept in the record.")],
    findings: Annotated[
        bool, typer.Option("--findings", help="It may run although scanning found something, or was not done.")
    ] = False,
    json: Json = False,
) -> None:
    """Vouch for the code of a version whose model is a pickle, so that it may run; apart from approving any release.

    It needs the permission models:approve-unsafe, and a person who did not make the version.

    \b
    Example:
      octavo models vouch spending 4 --note "read by ada and bo"

    \b
    Next:
      octavo models verify spending 4
      octavo deployments release till --version 4
    """
    request = ApproveUnsafe(model=model, version=version, note=note, findings=findings)
    word: UnsafeApproval = ask(request)
    if json:
        emit_json(word)
        return
    say(f"{plain(word.by)} vouches for the code of {model} {version}.")
