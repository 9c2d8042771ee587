"""Who is told, as the settings say: an HTTP receiver or a file, by OpenLineage's own library, or a topic."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from octavo.config import Config
from octavo.errors import ConfigurationError, InvalidRequest, MissingExtra, Unavailable
from octavo.stores.kafka import SCHEME, KafkaAddress, KafkaTopic
from octavo.stores.topics import Message
from octavo.stores.urls import secret

_SETTING = "lineage.openlineage"
_TIMEOUT_S = 5.0
_TRANSIENT = frozenset({408, 425, 429})
_FIRST_REFUSAL, _LAST_REFUSAL = 400, 499


def open_receiver(config: Config) -> Callable[[str], None] | None:
    """What tells one event; None where nobody is to be told.

    Raises
    ------
    ConfigurationError
        For a URL of any other kind.
    MissingExtra
        If OpenLineage's library is not installed.
    """
    url = config.lineage.openlineage
    if not url:
        return None
    check_installed()
    if url.startswith(("http://", "https://")):
        return _http(url, config)
    if url.startswith("file:"):
        return _file(config.root / Path(url.removeprefix("file:").removeprefix("//")))
    if url.startswith(SCHEME):
        return _kafka(KafkaAddress.parse(url, root=config.root, setting=_SETTING, last="TOPIC"))
    raise ConfigurationError(
        f"{_SETTING} = {url.partition('//')[0]!r}: there is no adapter for this; write http://HOST:PORT, file:PATH or "
        "kafka://HOST:PORT/TOPIC",
        setting=_SETTING,
    )


def check_installed() -> None:
    """See that OpenLineage's library is there.

    Raises
    ------
    MissingExtra
    """
    try:
        import openlineage.client  # noqa: F401
    except ImportError as error:
        raise MissingExtra("openlineage", "telling lineage to an OpenLineage receiver") from error


def _http(url: str, config: Config) -> Callable[[str], None]:
    import requests
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

    def send(body: str) -> None:
        token = secret(config.lineage.token) if config.lineage.token else ""
        auth = ApiKeyTokenProvider({"apiKey": token}) if token else TokenProvider({})
        # Tries of its own would wait in the worker; the outbox waits better.
        transport = HttpTransport(HttpConfig(url=url, timeout=_TIMEOUT_S, auth=auth, retry={"total": 0}))
        session = requests.Session()
        session.max_redirects = 0  # what is told, and the token, are for the receiver that the settings name
        transport.session = session
        try:
            transport.emit(_event(body))
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if _FIRST_REFUSAL <= status <= _LAST_REFUSAL and status not in _TRANSIENT:
                raise InvalidRequest(f"the OpenLineage receiver answered {status}") from error
            raise Unavailable(f"the OpenLineage receiver answered {status}") from error
        except (requests.RequestException, ValueError) as error:
            raise Unavailable(f"the OpenLineage receiver cannot be reached: {type(error).__name__}") from error
        finally:
            transport.close()

    return send


def _file(path: Path) -> Callable[[str], None]:
    from openlineage.client.transport.file import FileConfig, FileTransport

    transport = FileTransport(FileConfig(log_file_path=str(path), append=True))

    def send(body: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            transport.emit(_event(body))
        except (OSError, RuntimeError) as error:
            raise Unavailable(f"{path} cannot be written: {error}") from error

    return send


def _kafka(address: KafkaAddress) -> Callable[[str], None]:
    """By the client of ours, which knows whether a message has arrived."""
    opened: list[KafkaTopic] = []

    def send(body: str) -> None:
        if not opened:
            opened.append(KafkaTopic(address))
        job = _event(body)["job"]
        key = f"run:{job['namespace']}/{job['name']}"
        opened[0].send([Message(key=key, place=f"openlineage/{uuid.uuid4()}", value=body.encode())])
        if opened[0].wait(_TIMEOUT_S) is None:
            topic = opened.pop()
            trouble = topic.trouble()
            topic.close()
            raise Unavailable(f"the topic has not taken the event yet: {trouble}")

    return send


def _event(body: str) -> Any:
    return json.loads(body)
