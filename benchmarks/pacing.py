"""Requests at a given rate, whatever the answers take: latency is counted from the moment at which each was due."""

import asyncio
import http
import time
from collections.abc import Sequence
from itertools import count

from load import Borne, Server


def paced(server: Server, requests: Sequence[bytes], *, per_s: float, seconds: float, connections: int) -> Borne:
    """Ask at a steady rate over some connections; a request whose turn finds none free waits for one."""
    return asyncio.run(_paced(server, requests, per_s=per_s, seconds=seconds, connections=connections))


async def _paced(server: Server, requests: Sequence[bytes], *, per_s: float, seconds: float, connections: int) -> Borne:
    spent_s: list[float] = []
    numbers, began_s, cpu_s = count(), time.perf_counter(), server.cpu_s()

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while (due_s := began_s + (number := next(numbers)) / per_s) < began_s + seconds:
            await asyncio.sleep(due_s - time.perf_counter())
            writer.write(requests[number % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d" % http.HTTPStatus.OK), head
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            spent_s.append(time.perf_counter() - due_s)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    cpu_s = server.cpu_s() - cpu_s
    spent_s.sort()
    return Borne(
        per_s=len(spent_s) / (time.perf_counter() - began_s),
        cpu_us=cpu_s / len(spent_s) * 1e6,
        p50_ms=spent_s[len(spent_s) // 2] * 1e3,
        p99_ms=spent_s[len(spent_s) * 99 // 100] * 1e3,
    )
