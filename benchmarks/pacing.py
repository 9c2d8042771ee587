"""Requests at a given rate, whatever the answers take: latency is counted from the moment at which each was due."""

import gc
import select
import time
from collections import deque
from collections.abc import Sequence
from itertools import cycle

from load import Borne, Connection, Server


def paced(server: Server, requests: Sequence[bytes], *, per_s: float, seconds: float, connections: int) -> Borne:
    """Ask at a steady rate over some connections; a request whose turn finds none free waits for one.

    Each connection is used once before: many that are opened at the same moment are not what is asked about.

    One thread sends and hears, without an event loop of Python, which would be what is measured.
    """
    sending, poll = cycle(requests), select.epoll()
    made = [Connection(server, sending) for _ in range(connections)]
    by_number = {connection.socket.fileno(): connection for connection in made}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    free, due_s, spent_s = deque(made), dict[Connection, float](), list[float]()
    n_asked, n_wanted = 0, round(per_s * seconds)
    for connection in made:
        connection.ask()
        while connection.hear() is None:
            pass
    gc.disable()
    try:
        cpu_s, began_s = server.cpu_s(), time.perf_counter()
        while len(spent_s) < n_wanted:
            next_s = began_s + n_asked / per_s
            while free and n_asked < n_wanted and next_s <= time.perf_counter():
                connection = free.popleft()
                due_s[connection] = next_s
                connection.ask()
                n_asked += 1
                next_s = began_s + n_asked / per_s
            waits_s = max(next_s - time.perf_counter(), 0) if free and n_asked < n_wanted else 1
            for number, _ in poll.poll(waits_s):
                connection = by_number[number]
                if connection.hear() is not None:
                    spent_s.append(time.perf_counter() - due_s[connection])
                    free.append(connection)
        cpu_s, wall_s = server.cpu_s() - cpu_s, time.perf_counter() - began_s
    finally:
        gc.enable()
        for connection in made:
            connection.socket.close()
    spent_s.sort()
    return Borne(
        per_s=len(spent_s) / wall_s,
        cpu_us=cpu_s / len(spent_s) * 1e6,
        p50_ms=spent_s[len(spent_s) // 2] * 1e3,
        p99_ms=spent_s[len(spent_s) * 99 // 100] * 1e3,
        longest_ms=spent_s[-1] * 1e3,
    )
