"""Time-ordered identifiers (UUID version 7, RFC 9562), made from the platform's clock."""

import os
import uuid

from octavo.clock import Clock


def new_id(clock: Clock) -> str:
    """A new identifier; sorts by the clock's time to the millisecond."""
    return uuid7(clock.now_us())


def uuid7(micros: int) -> str:
    """UUID version 7 of a moment, its remaining 74 bits random."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (micros // 1000 & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))
