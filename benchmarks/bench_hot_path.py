"""What an answer costs beyond its model: processor time of one request in this process, part by part.

Run: ``python -m benchmarks.bench_hot_path`` from the repository's root. The times are of this machine and this moment;
the ratio to the model alone is what to compare. HTTP itself is not in it.
"""

import asyncio
import gc
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from tests.serving.bundles import MODEL, publish_bundle
from tests.serving.predictors import Bench
from tests.serving.projects import arm, make_project

from octavo.definitions.models import Task
from octavo.definitions.plans import LookupPlan, PlannedField
from octavo.definitions.types import DType
from octavo.serving.attempts import Call
from octavo.serving.blocks import Made
from octavo.stores.log import LocalLog
from octavo.stores.memory import MemoryArtifacts

_NUMBERS = tuple(f"number_{place}" for place in range(20))
_WORDS = {"city": ("berlin", "london", "paris"), "device": ("phone", "web"), "plan": ("a", "b", "c")}
_ROUNDS = 7


def measure() -> None:
    """Print microseconds for one row and for a thousand."""
    with tempfile.TemporaryDirectory() as folder:
        bench = _bench(Path(folder))
        gc.collect()
        gc.freeze()
        for n_rows, times in ((1, 2000), (1000, 20)):
            found = _parts(bench, _body(n_rows), times)
            model = found["model"]
            print(f"{n_rows} row(s): " + ", ".join(f"{name} {took:.1f} us" for name, took in found.items()))
            print(f"  all of it is {found['in all'] / model:.1f} times the model")


def _parts(bench: Bench, body: bytes, times: int) -> dict[str, float]:
    lineup, predictor = bench.watcher.lineups["eta"], bench.app._predictor
    served, call = lineup.fallback, Call(body=body, caller="bench", arrived_ns=time.perf_counter_ns())
    asked = call.read(lineup, body)
    inputs = served.builder.build(asked, None)
    outputs = served.model.run(inputs.matrix)
    answered = asyncio.run(predictor.answer(lineup, call))
    made = Made("eta", 1, 1, "bench", "")

    def record() -> None:
        assigned = lineup.assign(answered.answer.ids, None)
        block = predictor._blocks.block(
            asked,
            answered.answer.ids,
            served=served,
            rows=None,
            inputs=inputs,
            outputs=outputs,
            assigned=assigned,
            made=made,
        )
        predictor._recorder.record([block])

    return {
        "decode": _took(lambda: call.read(lineup, body), times),
        "build": _took(lambda: served.builder.build(asked, None), times),
        "model": _took(lambda: served.model.run(inputs.matrix), times),
        "record": _took(record, times),
        "answer": _took(lambda: answered.body, times),
        "in all": asyncio.run(_whole(bench, body, times)),
    }


async def _whole(bench: Bench, body: bytes, times: int) -> float:
    """From the scope of ASGI to the last message sent."""
    token = f"Bearer {bench.project.token}".encode()
    headers = [(b"content-type", b"application/json"), (b"authorization", token)]
    scope = {"type": "http", "method": "POST", "path": "/predict/eta", "query_string": b"", "headers": headers}
    statuses = set()

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        statuses.add(message.get("status", 200))

    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(times):
            await bench.app(dict(scope), receive, send)  # type: ignore[arg-type]  # plain dictionaries are messages
        best = min(best, time.process_time() - began)
    assert statuses == {200}, statuses
    return best / times * 1e6


def _took(act: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(times):
            act()
        best = min(best, time.process_time() - began)
    return best / times * 1e6


def _bench(folder: Path) -> Bench:
    project = make_project(folder, artifacts=MemoryArtifacts())
    log = LocalLog(folder / "log", sync=False, exclusive=True)
    bench = Bench(project, log=log)  # type: ignore[arg-type]  # what is measured is the log on disk
    bench.app.asking._max_body_bytes = 10_000_000
    digest = publish_bundle(project.artifacts, plan=_plan(), weights=[0.01] * (len(_NUMBERS) + len(_WORDS)))
    bench.publish(arm(digest))
    return bench


def _plan() -> LookupPlan:
    numbers = tuple(PlannedField(name=name, dtype=DType.FLOAT64, required=True) for name in _NUMBERS)
    words = tuple(
        PlannedField(name=name, dtype=DType.CATEGORY, required=True, categories=known) for name, known in _WORDS.items()
    )
    inputs = (*_NUMBERS, *_WORDS)
    return LookupPlan(
        model=MODEL, task=Task.REGRESSION, inputs=inputs, fields=(*numbers, *words), views=(), functions=()
    )


def _body(n_rows: int) -> bytes:
    chance = random.Random(1)
    rows = [
        {name: chance.gauss(0, 1) for name in _NUMBERS} | {name: chance.choice(known) for name, known in _WORDS.items()}
        for _ in range(n_rows)
    ]
    return msgspec.json.encode({"rows": rows})


if __name__ == "__main__":
    measure()
