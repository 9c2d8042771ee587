"""Fixtures for tests of any kind."""

import signal

from tests.brokers import brokers as brokers
from tests.postgres import postgres as postgres
from tests.servers import redis_server as redis_server

# Where tests are started in the background SIGINT is ignored, and so it would be by every process that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
