"""Datasets through the client: built where the events are, and fetched part by part."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Call = Callable[..., Any]


class Datasets:
    """What can be done with datasets, of a running Octavo.

    Parameters
    ----------
    call : callable
        `octavo.client.Client.call`.
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    def build(
        self,
        *views: str,
        model: str | None = None,
        spine: Any = None,
        at: str = "at",
        every: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        as_of: datetime | None = None,
    ) -> "pa.Table":
        """Build a dataset and fetch its rows; the record of it stays.

        Parameters
        ----------
        views : str
            Feature views whose values are wanted.
        model : str or None
            Its labelled cases; with `spine` or `every`, the feature views that it takes.
        spine : pa.Table, pandas.DataFrame or None
            Entity keys and, in the column `at`, moments with a zone; with `every`, the entities.
        every, since, until
            The step of a grid of moments, such as ``1h``, its first moment, and the one before which it ends.
        as_of : datetime or None
            For labelled cases: only what was known before it; now unless given.

        Returns
        -------
        pa.Table
            Ordered by moment; its schema's metadata has the digest under ``octavo.dataset``.
        """
        rows = b64encode(_stream(spine)).decode("ascii") if spine is not None else ""
        fields = {"model": model, "every": every, "since": since, "until": until, "as_of": as_of}
        given = {name: value for name, value in fields.items() if value is not None}
        built = self._call("datasets.build", views=views, rows=rows, at=at, keep=True, **given)
        try:
            return self._fetch(built["digest"])
        finally:
            self._call("datasets.drop", dataset=built["digest"])

    def rebuild(self, dataset: str) -> Any:
        """Make a dataset again; ``equal`` says whether it is the same. A digest's beginning will do."""
        return self._call("datasets.rebuild", dataset=dataset)

    def list(self, *, limit: int = 50) -> Sequence[Any]:
        """The datasets on record, newest first."""
        found: Sequence[Any] = self._call("datasets.list", limit=limit)
        return found

    def show(self, dataset: str) -> Any:
        """What a dataset was made of. A digest's beginning will do."""
        return self._call("datasets.show", dataset=dataset)

    def _fetch(self, digest: str) -> "pa.Table":
        import pyarrow as pa

        parts: list[pa.Table] = []
        count = 1
        while len(parts) < count:
            answer = self._call("datasets.read", dataset=digest, part=len(parts))
            count = answer["parts"]
            parts.append(pa.ipc.open_stream(b64decode(answer["rows"])).read_all())
        return pa.concat_tables(parts).replace_schema_metadata({"octavo.dataset": digest})


def _stream(spine: Any) -> bytes:
    """Rows as an Arrow stream; a DataFrame without its index."""
    import pyarrow as pa

    rows = spine if isinstance(spine, pa.Table) else pa.Table.from_pandas(spine, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    data: bytes = sink.getvalue().to_pybytes()
    return data
