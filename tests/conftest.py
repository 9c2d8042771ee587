"""Fixtures for tests of any kind."""

from tests.servers import redis_server as redis_server
