"""How much room values take online."""

from tests.plants import START, Plant, machines

from octavo.features.online.footprint import bytes_per_value


def test_a_value_takes_its_share_of_the_states_of_some_entities() -> None:
    plant = Plant()
    plant.send([{"number": n, "happened": START, "known": START, "machine": f"m{n}", "amount": 1.0} for n in range(3)])
    plant.apply()
    plant.ship()
    measured = bytes_per_value(plant.stores, machines)
    assert measured is not None
    assert 8 < measured < 1_000


def test_nothing_is_measured_where_nothing_is_kept() -> None:
    assert bytes_per_value(Plant().stores, machines) is None
