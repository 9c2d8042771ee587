"""bundles: versions that were handed on as folders."""

from pathlib import Path
from typing import Annotated

import typer

from octavo.cli.options import Json
from octavo.cli.output import emit_json, plain, show_facts
from octavo.config import find_root, load_config
from octavo.errors import ConfigurationError, InvalidRequest, NotFound
from octavo.registry.folders import VerifiedFolder, verify_folder
from octavo.registry.model_keys import read_certificates, read_public_key, trust
from octavo.registry.model_signatures import Trust


def register(app: typer.Typer) -> None:
    """Add the command."""
    commands = typer.Typer(no_args_is_help=True)
    commands.callback()(bundles)
    commands.command()(verify)
    app.add_typer(commands, name="bundles")


def bundles() -> None:
    """Verify versions that were handed on as folders.

    \b
    Example:
      octavo bundles verify handed-on/arrival_delay-1 --key models.pub

    \b
    Next:
      octavo models export MODEL VERSION FOLDER
    """


def verify(
    path: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of one version, as it was exported.")],
    signature: Annotated[Path | None, typer.Option(help="The signature; FOLDER.sig unless given.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="Believe this public key, PEM; the project's own unless given.")
    ] = None,
    roots: Annotated[Path | None, typer.Option(help="Believe whoever these certificates vouch for, PEM.")] = None,
    json: Json = False,
) -> None:
    """Verify a folder offline: that it is whole, and that it is signed under its own name by whom you believe.

    A file more, less, changed, renamed or linked is refused, and so is a folder by another name than was signed.

    \b
    Examples:
      octavo bundles verify ./handed-on/arrival_delay-1
      octavo bundles verify ./arrival_delay-1 --key models.pub

    \b
    Next:
      octavo models verify MODEL VERSION
    """
    if key is not None and roots is not None:
        raise InvalidRequest("a signature is verified by a key or by certificates", field="key", fix="give one of both")
    if not path.is_dir():
        raise NotFound("folder", str(path))
    path = path.resolve()
    place = signature or path.with_name(f"{path.name}.sig")
    if not place.is_file():
        raise NotFound("signature", str(place), fix="name the folder of one version, or add --signature FILE")
    found: VerifiedFolder = verify_folder(path, signature=place.read_bytes(), trust=_believed(key, roots))
    if json:
        emit_json(found)
        return
    show_facts(
        [
            ("version", plain(found.name)),
            ("of", f"{found.project}/{found.model}"),
            ("bundle", found.digest),
            ("files", found.files),
            ("signed by", found.signer),
        ]
    )


def _believed(key: Path | None, roots: Path | None) -> Trust:
    if key is not None:
        return Trust(key=read_public_key(key))
    if roots is not None:
        return Trust(roots=read_certificates(roots))
    try:
        return trust(load_config(find_root(Path.cwd())))
    except ConfigurationError as error:
        raise ConfigurationError(f"whom to believe is not known: {error.message}; give --key or --roots") from error
