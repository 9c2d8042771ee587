"""What the platform calls by itself: the few places, and that no caller and no name server leads it anywhere else."""

import ast
import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import octavo
from octavo.api.oidc.fetching import fetch_json
from octavo.clock import SystemClock
from octavo.config import PredictorSettings
from octavo.errors import ConfigurationError, InvalidRequest, Unavailable
from octavo.governance.openlineage.receivers import open_receiver
from octavo.record_settings import LineageSettings
from octavo.serving.later.callbacks import CallbackRules, Place
from octavo.serving.later.jobs import Callback
from octavo.serving.later.sending import CallbackSender
from octavo.serving.problems import Answer
from tests.security.sites import MLFLOW, parsed, post
from tests.showrooms import Showroom, empty_showroom
from tests.showrooms.doors import api

PACKAGE = Path(octavo.__file__).parent
PRIVATE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "2001:db8::1",
]  # fmt: skip
WRITTEN = ["0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"]


@dataclass
class Listener:
    """A server that nobody should reach, or that sends whoever does elsewhere."""

    location: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""


@contextmanager
def listening(location: str = "") -> Iterator[Listener]:
    listener = Listener(location=location)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listener.asked.append((self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(302 if listener.location else 200)
            if listener.location:
                self.send_header("Location", listener.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", "k" * 32)


def rules(*prefixes: str, hosts: tuple[str, ...] = ()) -> CallbackRules:
    return CallbackRules(PredictorSettings(callbacks=prefixes, callback_hosts=hosts, callback_secret="env:HOOK_KEY"))


def send(rules: CallbackRules, url: str) -> bool:
    answer = Answer(status=200, body=b"{}")
    callback = Callback(id="j-1", deployment="eta", url=url, tries=1, expires_us=2**60, answer=answer)
    return asyncio.run(CallbackSender(rules, clock=SystemClock(), timeout_s=2).send(callback))


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_that_may_be_in_ones_own_network_is_called(address: str) -> None:
    with pytest.raises(InvalidRequest, match="no public address"):
        rules("https://a.example/").check_addresses(Place("https", "a.example", 443, "/"), [address])


@pytest.mark.parametrize("host", WRITTEN)
def test_however_this_machine_is_written_it_is_not_called(host: str) -> None:
    """Even where somebody allowed the name."""
    with listening() as canary:
        port = canary.url.rpartition(":")[2]
        assert not send(rules(f"http://{host}:{port}/"), f"http://{host}:{port}/x")
        assert canary.asked == []


def test_a_name_server_that_changes_its_mind_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was looked at is the one that is connected to: a name is asked for once."""
    asked: list[str] = []
    connected: list[tuple[str, int]] = []
    real = socket.getaddrinfo

    def flips(host: Any, *more: Any, **named: Any) -> Any:
        if host == "rebind.example":
            asked.append(host)
            return real("93.184.216.34" if len(asked) == 1 else "127.0.0.1", *more, **named)
        return real(host, *more, **named)

    async def connect(host: str, port: int, **_: Any) -> Any:
        connected.append((host, port))
        raise OSError("nowhere")

    monkeypatch.setattr(socket, "getaddrinfo", flips)
    monkeypatch.setattr(asyncio, "open_connection", connect)
    assert not send(rules("http://rebind.example/"), "http://rebind.example/x")
    assert (asked, connected) == (["rebind.example"], [("93.184.216.34", 80)])
    assert not send(rules("http://rebind.example/"), "http://rebind.example/x")  # now it says 127.0.0.1
    assert connected == [("93.184.216.34", 80)]


def test_a_callback_follows_no_redirect() -> None:
    with listening() as canary, listening(location=f"{canary.url}/latest/meta-data") as hook:
        assert not send(rules(f"{hook.url}/", hosts=("127.0.0.1",)), f"{hook.url}/x")
        assert (len(hook.asked), canary.asked) == (1, [])


def test_the_receiver_of_lineage_leads_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does its token go anywhere else."""
    pytest.importorskip("openlineage.client")
    monkeypatch.setenv("LINEAGE_TOKEN", "a token for one receiver")
    with listening() as canary, listening(location=f"{canary.url}/x") as receiver:
        config = empty_showroom(tmp_path).context.config
        told = open_receiver(
            replace(config, lineage=LineageSettings(openlineage=receiver.url, token="env:LINEAGE_TOKEN"))
        )
        assert told is not None
        with pytest.raises(Unavailable):
            told(json.dumps({"eventType": "START", "run": {"runId": "x"}, "job": {"namespace": "a", "name": "b"}}))
        assert (len(receiver.asked), canary.asked) == (1, [])


def test_the_provider_of_logins_leads_nowhere_else() -> None:
    with listening() as canary, listening(location=f"{canary.url}/x") as provider:
        with pytest.raises(Unavailable, match="answered 302"):
            fetch_json(f"{provider.url}/.well-known/openid-configuration")
        assert canary.asked == []
    for url in ("http://169.254.169.254/", "http://10.0.0.1/", "file:///etc/passwd", "ftp://a/", "https://u@a/", "//a"):
        with pytest.raises(ConfigurationError):
            fetch_json(url)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Showroom:
    return empty_showroom(tmp_path_factory.mktemp("project"))


def test_an_address_that_a_caller_sends_to_control_is_a_text(room: Showroom) -> None:
    """Sources of models and data sets, places of artifacts: they are kept, and nobody fetches them."""
    with listening() as canary:
        admin, url = api(room), f"{canary.url}/model"
        post(admin, "registered.create", name="m")
        run = post(admin, "runs.create", name="x", experiment="y", source=url)["id"]
        for source in (url, url.replace("http", "s3"), f"file:///{url}", f"mlflow-artifacts:{url}", "gopher://x"):
            sent = {"name": "m", "source": source, "run_id": run, "description": url}
            version = admin.post(f"{MLFLOW}/model-versions/create", json=sent).json()["model_version"]["version"]
            admin.get(f"{MLFLOW}/model-versions/get-download-uri?name=m&version={version}")
        asked = {"name": "e", "artifact_location": url}
        assert admin.post(f"{MLFLOW}/experiments/create", json=asked).status_code == 400
        post(admin, "runs.link", run=run, datasets=[{"name": "d", "digest": "1", "source": url, "source_type": "http"}])
        post(admin, "runs.log", run=run, tags={"url": url})
        assert canary.asked == []


CALLERS = {"http.client", "urllib.request", "requests", "httpx", "urllib3", "aiohttp", "socket"}
KNOWN = {
    "api/oidc/fetching.py": "the provider that [oidc] names",
    "client/connections.py": "the client's own library",
    "governance/openlineage/receivers.py": "the receiver that [lineage] names",
    "loop/supervisor.py": "whether control answers on this machine",
    "stores/redis/blocking.py": "the Redis that [stores] names",
    "serving/later/sending.py": "callbacks, below addresses that [predictor] allows",
}


def test_no_other_module_calls_anybody() -> None:
    """Stores and topics are spoken to by their own clients, at addresses that the settings name."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if CALLERS & set(names) and not _only_listens(path):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == set(KNOWN)


def _only_listens(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    speaks = ("HTTPConnection", "HTTPSConnection", "requests.", "getaddrinfo", "create_connection", ".connect(")
    return not any(word in text for word in speaks)


def test_a_predictor_takes_no_address_in_its_requests() -> None:
    """But one, of whom to tell of an asynchronous answer, which is refused unless an address above it is allowed."""
    with pytest.raises(InvalidRequest):
        CallbackRules(PredictorSettings()).check("http://169.254.169.254/latest/meta-data")
