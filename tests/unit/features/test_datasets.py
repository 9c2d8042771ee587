from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.workshop import DAYS, START, Workshop, boosted, declare, in_transaction, open_workshop, visits

from octavo.errors import Conflict, IntegrityError, InvalidRequest, NotFound
from octavo.features.datasets import making as datasets
from octavo.features.datasets.building import decode_rows, kept_file
from octavo.features.datasets.files import digest_of_file
from octavo.features.datasets.operations import (
    BuildDataset,
    DropDataset,
    ListDatasets,
    ReadDataset,
    RebuildDataset,
    ShowDataset,
    build_dataset,
    drop_dataset,
    list_datasets,
    read_dataset,
    rebuild_dataset,
    show_dataset,
)
from octavo.features.datasets.snapshots import DatasetSnapshot
from octavo.features.events.ingest import ingest_rows
from octavo.features.offline import historical
from octavo.features.online.pump import Pump
from octavo.training.fit import train

MOMENT = pa.timestamp("us", tz="UTC")
DAY = timedelta(days=1)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return open_workshop(tmp_path, declare(boosted))


def stream(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue().to_pybytes())


def spine(*rows: tuple[str, float]) -> pa.Table:
    """Shops, and days after the start."""
    return pa.table(
        {
            "shop": pa.array([shop for shop, _ in rows], pa.string()),
            "at": pa.array([START + days * DAY for _, days in rows], MOMENT),
        }
    )


def build(workshop: Workshop, **wanted: Any) -> DatasetSnapshot:
    return build_dataset(BuildDataset(**wanted), workshop.context)


def kept(workshop: Workshop, **wanted: Any) -> pa.Table:
    """The rows of a dataset."""
    snapshot = build(workshop, keep=True, **wanted)
    return decode_rows(read_dataset(ReadDataset(dataset=snapshot.digest), workshop.context).rows)


def send_late(workshop: Workshop, *, shop: str = "north") -> None:
    """An event that happened long ago and comes only now."""
    entered = START + DAY
    row = {"number": 9_999, "entered": entered.isoformat(), "left": (entered + DAY / 24).isoformat(), "shop": shop}
    stores = workshop.context.stores
    ingest_rows([row | {"items": 1.0, "spent": 1e6}], visits, stream=stores.stream, clock=workshop.context.clock)
    pump = Pump(stores, workshop.context.project, workshop.context.clock)
    while pump.apply("visits") or pump.ship("visits"):
        pass


def test_given_rows_get_the_values_that_were_known(workshop: Workshop) -> None:
    rows = kept(workshop, views=("takings",), rows=stream(spine(("north", 5), ("nowhere", 5), ("north", -1))))
    assert rows.column_names[:2] == ["shop", "at"]
    assert rows["shop"].to_pylist() == ["north", "north", "nowhere"]
    assert [value > 0 for value in rows["takings__events_count_24h"].to_pylist()] == [False, True, False]
    assert rows["takings__spent_mean_24h"].null_count == 2


def test_a_models_views_are_meant_where_rows_are_given(workshop: Workshop) -> None:
    by_name = build(workshop, views=("takings",), rows=stream(spine(("north", 5))))
    assert build(workshop, model="boosted", rows=stream(spine(("north", 5)))).digest == by_name.digest


def test_the_dataset_of_a_model_is_what_it_is_trained_on(workshop: Workshop) -> None:
    trained = train(workshop.context, workshop.model, as_of=workshop.now)
    found = in_transaction(workshop, show_dataset, ShowDataset(dataset=trained.run.dataset))
    assert found.built_by == f"run {trained.run.id}"
    assert found.rows == trained.run.rows + trained.training_set.unripe
    assert build(workshop, model="boosted").digest == trained.run.dataset


def test_a_grid_has_rows_for_each_entity_from_its_first_event_on(workshop: Workshop) -> None:
    rows = kept(workshop, views=("takings",), every="12h", since=START, until=START + 2 * DAY)
    moments = sorted(set(rows["at"].to_pylist()))
    assert moments == [START + DAY / 2, START + DAY, START + 1.5 * DAY]
    assert set(rows["shop"].to_pylist()) == {"north", "south", "east"}
    assert min(rows["takings__events_count_24h"].to_pylist()) > 0


def test_a_grid_can_be_of_given_entities(workshop: Workshop) -> None:
    given = stream(pa.table({"shop": ["south", "nowhere"]}))
    rows = kept(workshop, views=("takings",), every="1d", since=START + DAY, until=START + 4 * DAY, rows=given)
    assert rows["shop"].to_pylist() == ["south"] * 3


def test_the_order_of_given_rows_does_not_matter(workshop: Workshop) -> None:
    whole = spine(*((shop, day / 7) for shop in ("north", "south", "nowhere") for day in range(100)))
    order = np.random.default_rng(1).permutation(len(whole))
    first = build(workshop, views=("takings",), rows=stream(whole))
    assert build(workshop, views=("takings",), rows=stream(whole.take(order))).digest == first.digest


def test_how_the_work_is_cut_does_not_matter(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    given = stream(spine(*((shop, day / 7) for shop in ("north", "south", "nowhere") for day in range(100))))
    whole = build(workshop, views=("takings",), rows=given).digest
    monkeypatch.setattr(historical, "PART_ROWS", 7)
    monkeypatch.setattr(datasets, "SLICE_ROWS", 50)
    assert build(workshop, views=("takings",), rows=given).digest == whole


@pytest.mark.parametrize("wanted", [{"model": "boosted"}, {"views": ("takings",), "every": "6h", "since": START}])
def test_it_is_the_same_when_it_is_made_again_after_late_events(workshop: Workshop, wanted: dict[str, Any]) -> None:
    first = build(workshop, **wanted)
    send_late(workshop)
    workshop.context.stores.tables.compact("events/visits")
    again = rebuild_dataset(RebuildDataset(dataset=first.digest), workshop.context)
    assert (again.equal, again.made, again.rows) == (True, first.digest, first.rows)
    assert build(workshop, **wanted).digest != first.digest


def test_given_rows_are_kept_to_make_it_again(workshop: Workshop) -> None:
    first = build(workshop, views=("takings",), rows=stream(spine(("north", 1.5), ("south", 2))))
    send_late(workshop)
    assert rebuild_dataset(RebuildDataset(dataset=first.digest), workshop.context).equal


def test_its_record_says_what_it_was_made_of(workshop: Workshop) -> None:
    made = build(workshop, views=("takings",), rows=stream(spine(("north", 5))))
    found = in_transaction(workshop, show_dataset, ShowDataset(dataset=made.digest[:15]))
    assert found == made
    assert found.tables == {"events/visits": workshop.context.stores.tables.version("events/visits")}
    assert found.recipe.views[0].sql.startswith("WITH")
    assert '"takings"' in found.definitions["view/takings"]
    assert [column.name for column in found.columns][:2] == ["shop", "at"]


def test_the_same_content_is_on_record_once(workshop: Workshop) -> None:
    made = [build(workshop, model="boosted") for _ in range(2)]
    listed = in_transaction(workshop, list_datasets, ListDatasets())
    assert [summary.digest for summary in listed] == [made[0].digest]
    assert (listed[0].what, listed[0].rows) == ("labels of boosted", made[1].rows)


def test_a_kept_file_says_what_it_holds(workshop: Workshop) -> None:
    made = build(workshop, model="boosted", keep=True)
    path = kept_file(workshop.context, made.digest)
    assert digest_of_file(path) == made.digest
    assert pq.read_table(path).num_rows == made.rows


def test_a_file_with_other_rows_than_it_says_is_damaged(workshop: Workshop, tmp_path: Path) -> None:
    made = build(workshop, model="boosted", keep=True)
    rows = pq.read_table(kept_file(workshop.context, made.digest))
    claim = {b"octavo.dataset": made.digest.encode()}
    pq.write_table(rows.slice(1).replace_schema_metadata(claim), tmp_path / "other.parquet")
    with pytest.raises(IntegrityError, match=f"octavo datasets rebuild {made.digest}"):
        digest_of_file(tmp_path / "other.parquet")


def test_dropped_rows_are_gone_and_can_be_made_again(workshop: Workshop) -> None:
    made = build(workshop, model="boosted", keep=True)
    drop_dataset(DropDataset(dataset=made.digest), workshop.context)
    with pytest.raises(NotFound, match="kept rows"):
        read_dataset(ReadDataset(dataset=made.digest), workshop.context)
    rebuild_dataset(RebuildDataset(dataset=made.digest, keep=True), workshop.context)
    assert read_dataset(ReadDataset(dataset=made.digest), workshop.context).parts == 1


def test_without_keeping_nothing_is_left_on_the_disk(workshop: Workshop) -> None:
    made = build(workshop, model="boosted")
    folder = kept_file(workshop.context, made.digest).parent
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "a dataset is of a model's labels, of given rows, or of a grid"),
        ({"views": ("takings",)}, "a dataset is of a model's labels, of given rows, or of a grid"),
        ({"rows": b"no stream", "views": ("takings",)}, "no Arrow stream"),
        ({"rows": stream(spine(("north", 5)))}, "no feature view is named"),
        ({"rows": stream(spine(("north", 5))), "views": ("takings",), "at": "when"}, "the rows lack 'when'"),
        ({"rows": stream(spine(("north", DAYS + 1))), "views": ("takings",)}, "nobody knows yet"),
        ({"views": ("takings",), "every": "1h"}, "a grid needs its first moment"),
        ({"views": ("takings",), "every": "hourly", "since": START}, "hourly"),
        ({"views": ("takings",), "every": "1h", "since": START + DAYS * DAY}, "needs a first moment before its last"),
        ({"model": "boosted", "as_of": START + (DAYS + 1) * DAY}, "has not come yet"),
    ],
)
def test_what_cannot_be_built_is_refused(workshop: Workshop, wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        build(workshop, **wanted)


def test_a_dataset_that_was_never_made_is_not_found(workshop: Workshop) -> None:
    with pytest.raises(NotFound, match="dataset"):
        in_transaction(workshop, show_dataset, ShowDataset(dataset="sha256:00"))


def test_an_on_demand_feature_that_changed_is_told(workshop: Workshop) -> None:
    made = build(workshop, model="boosted")
    assert made.recipe.inputs is not None
    inputs = replace(made.recipe.inputs, functions={"busy": "0" * 16})
    changed = replace(made, digest="sha256:" + "1" * 64, recipe=replace(made.recipe, inputs=inputs))
    with workshop.context.stores.metadata.transaction() as tx:
        tx.add(changed)
    with pytest.raises(Conflict, match="'busy' of model 'boosted' is not what it was"):
        rebuild_dataset(RebuildDataset(dataset=changed.digest), workshop.context)
