"""Project templates, one per system: plain folders of files that are copied with the project's name filled in."""

from importlib.resources import files
from pathlib import Path
from string import Template

from octavo.config import FILE_NAME
from octavo.definitions.types import check_name
from octavo.errors import Conflict, NotFound

_NOT_TEMPLATES = {"__pycache__"}


def template_names() -> list[str]:
    """The templates that come with Octavo."""
    folders = (entry for entry in files(__name__).iterdir() if entry.is_dir())
    return sorted(folder.name for folder in folders if folder.name not in _NOT_TEMPLATES)


def template_files(template: str, *, name: str) -> dict[str, str]:
    """The files of a project by name, in order.

    Parameters
    ----------
    name : str
        The project's; ``$project_name`` in octavo.toml becomes it.

    Raises
    ------
    NotFound
        If there is no such template.
    InvalidDefinition
        If the name is none.
    """
    if template not in template_names():
        raise NotFound("template", template, template_names())
    check_name(name.replace("-", "_"), what="project (its folder's name)")
    entries = sorted((files(__name__) / template).iterdir(), key=lambda entry: entry.name)
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in entries if entry.is_file()}
    return {
        file: Template(text).substitute(project_name=name) if file == FILE_NAME else text
        for file, text in texts.items()
    }


def write_template(template: str, folder: Path, *, name: str) -> list[str]:
    """Write a project.

    Parameters
    ----------
    folder : Path
        Made if absent.
    name : str
        See `template_files`.

    Returns
    -------
    list of str
        The files written, relative to `folder`.

    Raises
    ------
    NotFound
        If there is no such template.
    InvalidDefinition
        If the name is none.
    Conflict
        If the folder holds anything.
    """
    written = template_files(template, name=name)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty; name a new folder, or empty this one")
    for file, text in written.items():
        (folder / file).write_text(text, encoding="utf-8")
    return list(written)
