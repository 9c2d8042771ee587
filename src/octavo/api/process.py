"""The control process: the API and the console under one server."""

import logging
import os
import socket
import sys
from pathlib import Path

import msgspec
import uvicorn

from octavo.access import LOCAL_TOKEN_FILE, ensure_admin
from octavo.api.app import allowed_hosts, build_app
from octavo.config import Config
from octavo.errors import Unavailable
from octavo.wiring import build_dispatcher, config_here, open_context

log = logging.getLogger(__name__)


def main() -> None:
    """Serve the project in the current folder until SIGTERM or SIGINT; requests under way are answered first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = config_here()
    allowed_hosts(config)
    _announce_first_token(config)
    context = open_context(config)
    app = build_app(context, build_dispatcher(context))
    listener = _listen(config)
    host, port = listener.getsockname()[:2]
    run_file = _write_run_file(config, host=host, port=port)
    log.info("control listens", extra={"host": host, "port": port})
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=10,
            timeout_keep_alive=75,
            h11_max_incomplete_event_size=32_768,
        )
    )
    try:
        server.run(sockets=[listener])
    finally:
        run_file.unlink(missing_ok=True)
        context.stores.metadata.close()
        context.stores.online.close()
        context.stores.stream.close()


def _announce_first_token(config: Config) -> None:
    token = ensure_admin(config.home)
    if token is None:
        return
    if sys.stderr.isatty():
        sys.stderr.write(f"The administrator's token, shown this once: {token}\n")
    # Without a terminal it would end in a log file, so only its place is told.
    sys.stderr.write(f"It is kept for this machine's command line in {config.home / LOCAL_TOKEN_FILE}\n")


def _listen(config: Config) -> socket.socket:
    control = config.control
    family = socket.AF_INET6 if ":" in control.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((control.host, control.port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"[control] {control.host}:{control.port} cannot be listened on: {error.strerror}; "
            "choose another with OCTAVO_CONTROL_PORT (0 takes a free one)"
        ) from error
    return listener


def _write_run_file(config: Config, *, host: str, port: int) -> Path:
    path = config.home / "run" / "control.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_bytes(msgspec.json.encode({"pid": os.getpid(), "host": host, "port": port}))
    scratch.replace(path)
    return path
