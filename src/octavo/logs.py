"""The log of a process: one line an event, with its structured fields behind it as ``name=value``."""

import logging

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class FieldsFormatter(logging.Formatter):
    """Time, level, logger and message, then the fields given as ``extra``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        fields = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        line = super().formatMessage(record)
        return line + "".join(f" {name}={_shown(value)}" for name, value in fields.items())


def log_to_stderr() -> None:
    """Set up the log of a process: everything from INFO on, to the error stream."""
    handler = logging.StreamHandler()
    handler.setFormatter(FieldsFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # it names each of its own parts


def _shown(value: object) -> str:
    """A value that stays on its line and can be told from the next."""
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c == '"' or not c.isprintable() for c in text) else text
