"""What steps of lineage are called."""

from collections.abc import Iterable

from octavo.release.history import Service
from octavo.release.shares import SHADOW


def counted(number: int, what: str) -> str:
    """``1 row``, ``12,044 rows``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def parts_of(services: Iterable[Service]) -> dict[str, Service]:
    """The last part that each version had in a deployment, by the version; those that still have one come first."""
    last: dict[str, Service] = {}
    for service in sorted(services, key=lambda one: (one.until is None, one.until or one.since, one.share)):
        last[f"{service.model}/{service.version}"] = service
    return dict(sorted(last.items(), key=lambda item: item[1].until is not None))


def share_words(service: Service) -> str:
    """``live, 90 %``; or until when it was so."""
    if service.stopped:
        words = f"{service.role}, stopped"
    elif service.role == SHADOW:
        words = f"shadow, sees {service.sample:g} %"
    else:
        words = f"{service.role}, {service.share * 100:.4g} %"
    return words if service.until is None else f"{words}, until {service.until:%Y-%m-%d %H:%M}"
