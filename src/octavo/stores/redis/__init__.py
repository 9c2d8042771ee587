"""Online features in Redis."""

from octavo.stores.redis.address import SCHEMES, RedisAddress
from octavo.stores.redis.loop import RedisLoopReader
from octavo.stores.redis.store import RedisOnlineStore

__all__ = ["SCHEMES", "RedisAddress", "RedisLoopReader", "RedisOnlineStore"]
