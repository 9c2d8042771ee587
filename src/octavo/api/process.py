"""The control process: the API and the console under one server."""

import logging
import os
import sys

import uvicorn

from octavo.access import LOCAL_TOKEN_FILE, ensure_admin
from octavo.api.app import build_app, known_callers
from octavo.config import Config, config_here
from octavo.errors import OctavoError
from octavo.governance.access.upkeep import AccessUpkeep
from octavo.logs import log_to_stderr
from octavo.processes import CONTROL, follow_supervisor
from octavo.servers import AnnouncingServer, listen
from octavo.wiring import build_dispatcher, open_context

log = logging.getLogger(__name__)

_DRAIN_S = 10


def main() -> int:
    """Run the control process of the project that the current folder is in, until SIGTERM or SIGINT."""
    log_to_stderr()
    os.umask(0o077)
    try:
        serve(config_here())
    except OctavoError as error:
        log.error("%s", error.message)
        return 1
    return 0


def serve(config: Config) -> None:
    """Serve until the process is told to stop; requests under way are answered first.

    Raises
    ------
    ConfigurationError
        If the address cannot be listened on, or must not be without TLS.
    """
    listening = listen("control", config.control)
    follow_supervisor()
    _announce_first_token(config)
    context = open_context(config)
    callers = known_callers(context)
    upkeep = AccessUpkeep(context, callers.used)
    upkeep.start()
    app = build_app(context, build_dispatcher(context), access=callers)
    settings = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=_DRAIN_S,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=32_768,
    )
    try:
        AnnouncingServer(settings, home=config.home, name=CONTROL, listening=listening).serve_until_told()
    finally:
        upkeep.stop()
        for store in (context.stores.metadata, context.stores.online, context.stores.stream):
            store.close()


def _announce_first_token(config: Config) -> None:
    token = ensure_admin(config.home)
    if token is None:
        return
    if sys.stderr.isatty():
        sys.stderr.write(f"The administrator's token, shown this once: {token}\n")
    # Without a terminal it would end in a log file, so only its place is told.
    sys.stderr.write(f"It is kept for this machine's command line in {config.home / LOCAL_TOKEN_FILE}\n")
