"""How much room a feature view's values take in the online store, measured on some of its entities."""

from octavo.definitions.features import FeatureView
from octavo.errors import OctavoError
from octavo.features.composite import entity_column
from octavo.features.events.payloads import table_of
from octavo.features.offline.sql import quoted
from octavo.features.online.keys import decode_generation, entity_key, pointer_key
from octavo.stores.ports import Stores

_SAMPLE = 200


def bytes_per_value(stores: Stores, view: FeatureView) -> float | None:
    """The bytes of an entity's state for each feature that is read from it; None if nothing is there to be measured."""
    try:
        states = _some_states(stores, view)
    except OctavoError:
        return None
    return sum(map(len, states)) / len(states) / len(view.features) if states else None


def _some_states(stores: Stores, view: FeatureView) -> list[bytes]:
    pointer = stores.online.read([pointer_key(view.name)])[0]
    table, keys = table_of(view.source.name), ", ".join(quoted(key) for key in view.keys)
    if pointer is None or stores.tables.version(table) < 0:
        return []
    events = stores.tables.query(
        f"SELECT DISTINCT {keys} FROM events ORDER BY hash({keys}) LIMIT {_SAMPLE}", tables={"events": table}
    )
    entities = [one for one in entity_column(events, view.keys).to_pylist() if one is not None]
    prefix = decode_generation(pointer).prefix
    found = stores.online.read([prefix + entity_key(one) for one in entities])
    return [state for state in found if state is not None]
