"""The parts of a partitioned model, as tables: which answer, and why others do not."""

from collections.abc import Iterator

from octavo.cli.measures import number
from octavo.cli.output import plain, say, show_table
from octavo.training.reports import Partition


def show_parts(partition: Partition | None) -> None:
    """Show what came of the parts of a version; nothing for a model that is to have none."""
    if partition is None:
        return
    say("")
    say(f"{plain(partition.words)}.")
    if partition.parts:
        metric = partition.metric
        show_table(
            [partition.by, ">rows", ">held out", f">{metric} of all", f">{metric} of part", "answered by", "?why"],
            _rows(partition),
            empty="",
        )


def _rows(partition: Partition) -> Iterator[list[object]]:
    for one in partition.parts:
        values = ["-" if value is None else number(value) for value in (one.parent, one.part)]
        answered_by = "the part" if one.kept else "the model for all"
        yield [plain(one.word), one.rows, one.held_out, *values, answered_by, plain(one.why)]
