"""A version's report as one file that needs nothing else: to be kept, sent or printed."""

from datetime import datetime
from importlib.resources import files

from markupsafe import Markup

from octavo.console.prose import prose
from octavo.console.rendering import render_alone
from octavo.console.report_details import compared_views
from octavo.console.reports import report_view
from octavo.console.verdicts import earned_status, gate_status, provenance_rows
from octavo.registry.operations import VersionDetails


def report_file(details: VersionDetails, *, now: datetime) -> str:
    """The report as HTML, its style sheet within it; it loads nothing and runs nothing.

    Parameters
    ----------
    now : datetime
        By which it is told whether waivers hold.
    """
    status, earned = earned_status(details.version, now)
    return render_alone(
        "report_file.html",
        details=details,
        version=details.version,
        verdict=(status, f"{earned.rstrip(',')}."),
        gates=[(gate, gate_status(gate, now)) for gate in details.version.gates],
        provenance=provenance_rows(details.provenance),
        view=report_view(details.report),
        compared=compared_views(details.comparison) if details.comparison else [],
        card=prose(details.card),
        style=_style(),
    )


def _style() -> Markup:
    """The console's own, which holds no text of users and no end of a style element."""
    return Markup(files("octavo.console").joinpath("static", "console.css").read_text(encoding="utf-8"))
