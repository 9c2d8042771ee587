"""The run that the code here and now is a part of."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octavo.training.tracking.recorder import Recorder

ACTIVE: "ContextVar[Recorder | None]" = ContextVar("octavo_active_run", default=None)
"""The innermost run that was begun and has not ended; also that of the training whose function is called."""
