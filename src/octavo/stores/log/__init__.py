"""The event stream as a durable log on local disk."""

from octavo.stores.log.stream import LocalLog

__all__ = ["LocalLog"]
