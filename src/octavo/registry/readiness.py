"""What must be said of a model before any version of it is released: whose it is, what it is for, what is at risk."""

from octavo.definitions.models import Model
from octavo.errors import GateFailed


def unsaid(model: Model) -> str:
    """Why no version of a model may be released, and what to write; empty if all is said.

    The project's present declaration counts, so that what was forgotten needs no training.
    """
    lacking = [
        argument
        for argument, is_given in (
            ('owner="..."', bool(model.owner.strip())),
            ('purpose="..."', bool(model.purpose.strip())),
            ('tier="low", "medium" or "high"', model.tier is not None),
        )
        if not is_given
    ]
    if not lacking:
        return ""
    names = " and ".join(one.partition("=")[0] for one in lacking)
    return (
        f"model {model.name!r} has no {names}, without which nothing of it is released; say it in the project's "
        f"module: @oc.model(..., {', '.join(lacking)}), and apply that: octavo apply"
    )


def check_said(model: Model) -> None:
    """Refuse a model of which too little is said.

    Raises
    ------
    GateFailed
    """
    if reason := unsaid(model):
        raise GateFailed(reason, gate="declared")
