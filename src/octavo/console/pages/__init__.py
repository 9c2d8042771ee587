"""The pages: each calls operations, makes of their answers what its template shows, and renders that."""

from octavo.console.pages.access import PAGES as ACCESS
from octavo.console.pages.approvals import PAGES as APPROVALS
from octavo.console.pages.audit import PAGES as AUDIT
from octavo.console.pages.composites import PAGES as COMPOSITES
from octavo.console.pages.deployments import PAGES as DEPLOYMENTS
from octavo.console.pages.features import PAGES as FEATURES
from octavo.console.pages.history import PAGES as HISTORY
from octavo.console.pages.home import PAGES as HOME
from octavo.console.pages.incidents import PAGES as INCIDENTS
from octavo.console.pages.lineage import PAGES as LINEAGE
from octavo.console.pages.models import PAGES as MODELS
from octavo.console.pages.monitoring import PAGES as MONITORING
from octavo.console.pages.predictions import PAGES as PREDICTIONS
from octavo.console.pages.runs import PAGES as RUNS
from octavo.console.pages.system import PAGES as SYSTEM
from octavo.console.pages.versions import PAGES as VERSIONS
from octavo.console.visits import Page


def all_pages() -> tuple[Page, ...]:
    """Every page of the console and every form that is sent from one."""
    return (
        *HOME,
        *INCIDENTS,
        *FEATURES,
        *RUNS,
        *MODELS,
        *VERSIONS,
        *DEPLOYMENTS,
        *COMPOSITES,
        *APPROVALS,
        *MONITORING,
        *PREDICTIONS,
        *LINEAGE,
        *HISTORY,
        *AUDIT,
        *ACCESS,
        *SYSTEM,
    )
