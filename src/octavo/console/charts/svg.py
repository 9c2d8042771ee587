"""SVG elements as escaped text."""

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, *children: str, **attributes: object) -> Markup:
    """An element; `class_` is the attribute class, other underscores become hyphens, None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(map(escape, children))}</{name}>")


def figure(
    name: str, children: Iterable[str], *, width: int, height: int, kind: str = "chart", stretches: bool = False
) -> Markup:
    """A drawing with an accessible name, of fixed proportions unless it stretches to its place."""
    return element(
        "svg",
        element("title", name),
        *children,
        class_=kind,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        preserveAspectRatio="none" if stretches else None,
        role="img",
        aria_label=name,
    )


def path(points: Iterable[tuple[float, float] | None], **attributes: object) -> Markup:
    """A line through points; None lifts the pen, and a point between two of them is a dot."""
    commands, down = [], False
    for point in points:
        if point is None:
            down = False
            continue
        place = f"{point[0]:.1f} {point[1]:.1f}"
        commands.append(f"L{place}" if down else f"M{place}h0")
        down = True
    return element("path", d="".join(commands), **attributes)


def _plain(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
