"""What a line of a process's log shows."""

import logging

from octavo.logs import FieldsFormatter


def line(message: str, **fields: object) -> str:
    record = logging.LogRecord("octavo.test", logging.WARNING, __file__, 1, message, (), None)
    vars(record).update(fields)
    return FieldsFormatter().format(record)


def test_fields_stand_behind_the_message() -> None:
    assert line("manifest applied", deployment="eta", sequence=3).endswith(
        "WARNING octavo.test: manifest applied deployment=eta sequence=3"
    )


def test_a_message_without_fields_stands_alone() -> None:
    assert line("started").endswith("octavo.test: started")


def test_a_value_cannot_begin_a_line_of_its_own() -> None:
    assert line("notice", text="it failed\nERROR forged: line").endswith(r"text='it failed\nERROR forged: line'")
