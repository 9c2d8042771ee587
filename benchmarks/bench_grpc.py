"""Single predictions over gRPC, with the log on, against what Python's gRPC servers do when they only echo.

The echoes are grpcio's servers, with threads and in an event loop: they return the very bytes that the predictor is
asked with, and neither parse them nor check who calls. All run on one core in turns, and are called from another.

python benchmarks/bench_grpc.py [--model linear] [--seconds 3] [--rounds 3] [--json FILE]
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import credit
import grpc
import numpy as np
import pyarrow as pa
from lender import make_lender
from load import Borne, Server
from load_http2 import drive_calls

from octavo.processes import PREDICTOR, find_running
from octavo.serving.grpc.messages import SERVICE, ModelInferRequest
from servers import PATIENCE_S, divide_cores, free_port, predictor

CONNECTIONS, STREAMS = 4, 8
PATH = f"/{SERVICE}/ModelInfer"
ECHOES = {"grpcio echo, 10 threads": "threads", "grpcio.aio echo": "loop"}


def main(model: str, *, seconds: float, rounds: int, to: Path | None) -> None:
    core = divide_cores()
    messages = messages_of(model)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        lender = make_lender(Path(folder), [model], predictor="grpc_port = 0")
        lender.publish(model)
        ours = running.enter_context(predictor(lender.root, core=core))
        found = find_running(lender.root / ".octavo", PREDICTOR)
        assert found is not None
        at = Server(name="predictor", port=found.grpc_port, pid=ours.pid)
        contenders = [(f"predictor, {form}", at, sent) for form, sent in messages.items()]
        for name, kind in ECHOES.items():
            contenders.append((name, running.enter_context(echo(kind, core=core)), next(iter(messages.values()))))
        measured: dict[str, list[Borne]] = {name: [] for name, *_ in contenders}
        for _ in range(rounds):
            for name, server, sent in contenders:
                borne = drive_calls(
                    server,
                    sent,
                    path=PATH,
                    token=lender.token,
                    seconds=seconds,
                    connections=CONNECTIONS,
                    streams=STREAMS,
                )
                measured[name].append(borne)
    tell(model, measured)
    if to is not None:
        to.write_text(json.dumps({name: [asdict(one) for one in of] for name, of in measured.items()}))


def tell(model: str, measured: dict[str, list[Borne]]) -> None:
    """Print the medians, and each against the fastest echo."""
    middle = {
        name: {field: median(getattr(one, field) for one in of) for field in ("per_s", "cpu_us", "p50_ms", "p99_ms")}
        for name, of in measured.items()
    }
    fastest = max(middle[name]["per_s"] for name in ECHOES)
    print(f"{model}: one row in a call, {CONNECTIONS} connections with {STREAMS} calls under way on each")
    for name, of in middle.items():
        failed = sum(one.failed for one in measured[name])
        print(
            f"  {name:28} {of['per_s']:8,.0f} calls/s  {of['per_s'] / fastest:5.2f} times the fastest echo  "
            f"{of['cpu_us']:5.0f} us of processor time  p50 {of['p50_ms']:.2f} ms  p99 {of['p99_ms']:.2f} ms"
            + (f"  {failed} FAILED" if failed else "")
        )


def messages_of(model: str) -> dict[str, list[bytes]]:
    """Calls by the forms that a row can be sent in; each row differs."""
    table = credit.requests().select(credit.TRAININGS[model][1])
    rows = np.column_stack([_numbers(name, table[name]) for name in table.column_names]).astype("<f4")
    return {
        "matrix": [_raw(model, row) for row in rows],
        "fields in lists": [_by_lists(model, row) for row in table.to_pylist()],
    }


def _numbers(name: str, column: pa.ChunkedArray) -> Any:
    """A column as the model takes it; a category is its place among the sorted words."""
    words = credit.CATEGORIES.get(name)
    return column.to_numpy() if words is None else np.searchsorted(np.array(words), column.to_numpy().astype(str))


def _raw(model: str, row: Any) -> bytes:
    tensor = {"name": "model_inputs", "datatype": "FP32", "shape": [1, len(row)]}
    return _bytes(ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[row.tobytes()]))


def _by_lists(model: str, row: dict[str, Any]) -> bytes:
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [value.encode()]}}
        if isinstance(value, str)
        else {"name": name, "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [value]}}
        for name, value in row.items()
    ]
    return _bytes(ModelInferRequest(model_name=model, inputs=inputs))


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


@contextmanager
def echo(kind: str, *, core: int) -> Iterator[Server]:
    """One of grpcio's servers."""
    port = free_port()
    command = ["taskset", "-c", str(core), sys.executable, __file__, "--echo", kind, "--port", str(port)]
    with subprocess.Popen(command) as process:
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                grpc.channel_ready_future(channel).result(timeout=PATIENCE_S)
            yield Server(name=kind, port=port, pid=process.pid)
        finally:
            process.terminate()


class _Echo(grpc.GenericRpcHandler):
    def __init__(self, handler: Any) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(handler)

    def service(self, handler_call_details: Any) -> Any:
        return self._handler


def serve_echo(kind: str, port: int) -> None:
    """Return every message, until the process is ended."""
    if kind == "threads":
        server = grpc.server(ThreadPoolExecutor(10), handlers=[_Echo(lambda message, context: message)])
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        time.sleep(1e9)

    async def answer(message: bytes, context: Any) -> bytes:
        return message

    async def serve() -> None:
        server = grpc.aio.server(handlers=[_Echo(answer)])
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Predictions over gRPC against echoes over gRPC.")
    parser.add_argument("--model", default="linear", choices=credit.TRAININGS)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--echo", choices=ECHOES.values(), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.echo:
        serve_echo(given.echo, given.port)
    else:
        main(given.model, seconds=given.seconds, rounds=given.rounds, to=given.json)
