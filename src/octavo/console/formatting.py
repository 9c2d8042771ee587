"""Numbers, times and names as people read them. A missing value is a dash, never a zero."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup, escape

from octavo.training.reports import Interval

MISSING = "–"
_THIN = "\N{NARROW NO-BREAK SPACE}"
_FIGURES = 3
_NAMED = re.compile(r"\b(incident|run)[ =]([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


def number(value: float | None, *, unit: str = "", figures: int = _FIGURES) -> str:
    """A number to three significant figures; whole numbers in full."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = whole(int(value)) if isinstance(value, int) else _rounded(value, figures)
    return f"{text}{_THIN}{unit}" if unit else text


def decimal(value: float | None, places: int = 3) -> str:
    """A number to so many places, for columns in which sizes are compared."""
    if value is None or not math.isfinite(value):
        return number(value)
    return f"{value:,.{places}f}".replace(",", _THIN).replace("-", "−")


def whole(value: int | None) -> str:
    """A whole number with its thousands apart."""
    return MISSING if value is None else f"{value:,}".replace(",", _THIN).replace("-", "−")


def percent(share: float | None) -> str:
    """A share as a percentage."""
    if share is None or math.isnan(share):
        return MISSING
    if share < 0:
        return f"−{percent(-share)}"
    if 0 < share < 0.0005:
        return f"<{_THIN}0.1{_THIN}%"
    if 0.9995 <= share < 1:
        return f">{_THIN}99.9{_THIN}%"
    text = f"{share * 100:.0f}" if share == 0 or 0.0995 <= share < 0.99 or share >= 1 else f"{share * 100:.1f}"
    return f"{text}{_THIN}%"


def signed(value: float | None, *, unit: str = "") -> str:
    """A difference with its sign."""
    text = number(value, unit=unit)
    return text if value is None or math.isnan(value) or value <= 0 else f"+{text}"


def interval(measured: Interval | None) -> str:
    """A value and the 95 % interval around it."""
    if measured is None:
        return MISSING
    return f"{number(measured.value)} ({number(measured.low)} to {number(measured.high)})"


def size(size_bytes: int | None) -> str:
    """Bytes in the unit in which they are easily read."""
    if size_bytes is None:
        return MISSING
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if size_bytes >= 1000**power:
            return number(size_bytes / 1000**power, unit=unit)
    return number(size_bytes, unit="B")


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: ``2 h 14 min``."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    if seconds < 1:
        return f"{seconds * 1000:.0f}{_THIN}ms"
    if seconds < 60:
        return f"{seconds:.0f}{_THIN}s" if seconds >= 10 else f"{seconds:.1f}{_THIN}s"
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    whole_s = round(seconds)
    first = next(i for i, (_, size) in enumerate(units) if whole_s >= size)
    parts = []
    for name, size in units[first : first + 2]:
        count, whole_s = divmod(whole_s, size)
        if count:
            parts.append(f"{count}{_THIN}{name}")
    return " ".join(parts)


def microseconds(value: float | None) -> str:
    """Microseconds in milliseconds."""
    return MISSING if value is None or math.isnan(value) else number(value / 1000, unit="ms")


def moment(at: datetime | None) -> Markup:
    """A time to the minute, in UTC, readable by machines too."""
    if at is None:
        return Markup(MISSING)
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(), utc.strftime("%Y-%m-%d %H:%M"))


def ago(at: datetime | None, now: datetime) -> Markup:
    """How long before `now`, with the time itself on hover."""
    if at is None:
        return Markup(MISSING)
    utc, seconds = at.astimezone(UTC), (now - at).total_seconds()
    words = (
        "now" if abs(seconds) < 1 else f"{_largest(abs(seconds))} ago" if seconds > 0 else f"in {_largest(-seconds)}"
    )
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(), utc.strftime("%Y-%m-%d %H:%M:%S UTC"), words
    )


def linked(text: str) -> Markup:
    """A text in which incidents and runs that are named by their id lead to their pages."""
    parts = _NAMED.split(text)
    found = [escape(parts[0])]
    for kind, identifier, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        link = Markup('<a class="nowrap" href="/{0}s/{1}">{0} {2}</a>').format(kind, identifier, short(identifier))
        found += [link, escape(rest)]
    return Markup("").join(found)


def short(identifier: str) -> str:
    """The end of an identifier, which tells those of one moment apart."""
    return identifier if len(identifier) <= 12 else f"…{identifier[-8:]}"


def words(name: str) -> str:
    """An identifier as words: ``waiting_for_approval`` is "waiting for approval"."""
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """A message as a sentence; a name at its beginning stays as it is written."""
    if not text:
        return ""
    first = text.split(maxsplit=1)[0]
    begun = text[:1].upper() + text[1:] if first.rstrip(",;:").isalpha() else text
    return begun if begun.endswith((".", "?", "!")) else f"{begun}."


def listed(words: Sequence[str]) -> str:
    """Words as a list: ``a, b and c``."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def plural(count: int, noun: str, *, many: str | None = None) -> str:
    """A count with its noun in the right number."""
    return f"{whole(count)} {noun if count == 1 else many or noun + 's'}"


def _rounded(value: float, figures: int) -> str:
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 6 or size < -4:
        mantissa, _, exponent = f"{value:.{figures - 1}e}".partition("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    decimals = max(0, figures - 1 - size)
    text = f"{value:,.{decimals}f}"
    if "." in text and size < 0:
        text = text.rstrip("0").rstrip(".")
    return text.replace(",", _THIN).replace("-", "−")


def _largest(seconds: float) -> str:
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{_THIN}{name}"
    return f"{seconds:.0f}{_THIN}s"
