"""Small pictures for a page, as SVG: bars side by side, and lines over time."""

import html
from collections.abc import Mapping, Sequence

COLORS = ("#94a3b8", "#0072b2", "#d55e00")  # told apart by the color-blind, too
WIDTH, HEIGHT, MARGIN, LEGEND = 460, 205, 40, 40  # LEGEND: below the title
MOST_LABELS = 12


def bars(labels: Sequence[str], series: Mapping[str, Sequence[float]], title: str) -> str:
    """A group of bars for each label.

    Args:
        series: By name, a value for each label.
    """
    high = max((value for values in series.values() for value in values), default=0) or 1
    step = (WIDTH - 2 * MARGIN) / max(len(labels), 1)
    wide = 0.8 * step / max(len(series), 1)
    shapes = []
    for place, (values, color) in enumerate(zip(series.values(), COLORS, strict=False)):
        for number, value in enumerate(values):
            tall = (HEIGHT - MARGIN - LEGEND) * value / high
            left = MARGIN + number * step + 0.1 * step + place * wide
            shapes.append(
                f'<rect x="{left:.1f}" y="{HEIGHT - MARGIN - tall:.1f}" width="{wide:.1f}" '
                f'height="{tall:.1f}" fill="{color}"/>'
            )
    middles = [MARGIN + (number + 0.5) * step for number in range(len(labels))]
    return _picture([*shapes, *_below(labels, middles), *_legend(list(series))], title)


def lines(labels: Sequence[str], series: Mapping[str, Sequence[float | None]], title: str) -> str:
    """A line for each series over the labels, from zero up; None leaves a gap."""
    known = [value for values in series.values() for value in values if value is not None]
    low, high = min([0.0, *known]), max(known, default=1.0)
    span = (high - low) or 1.0
    step = (WIDTH - 2 * MARGIN) / max(len(labels) - 1, 1)
    middles = [MARGIN + number * step for number in range(len(labels))]

    def height(value: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - MARGIN - LEGEND) * (value - low) / span

    shapes = [
        f'<text x="{MARGIN - 4}" y="{height(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        for value in (low, high)
    ]
    for values, color in zip(series.values(), COLORS, strict=False):
        points = [
            (middle, height(value))
            for middle, value in zip(middles, values, strict=True)
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        shapes.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        shapes += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points]
    return _picture([*shapes, *_below(labels, middles), *_legend(list(series))], title)


def _picture(shapes: Sequence[str], title: str) -> str:
    axis = HEIGHT - MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="10" fill="#1f2937">'
        f'<text x="{MARGIN}" y="12" font-size="12" font-weight="600">{html.escape(title)}</text>'
        f"{''.join(shapes)}"
        f'<line x1="{MARGIN}" y1="{axis}" x2="{WIDTH - MARGIN}" y2="{axis}" stroke="#94a3b8"/>'
        "</svg>"
    )


def _below(labels: Sequence[str], middles: Sequence[float]) -> list[str]:
    """As many of the labels as there is room for."""
    every = -(-len(labels) // MOST_LABELS) or 1
    return [
        f'<text x="{middle:.1f}" y="{HEIGHT - MARGIN + 12}" text-anchor="end" '
        f'transform="rotate(-30 {middle:.1f} {HEIGHT - MARGIN + 12})">'
        f"{html.escape(label if len(label) < 12 else label[:10] + '…')}</text>"
        for number, (label, middle) in enumerate(zip(labels, middles, strict=True))
        if number % every == 0
    ]


def _legend(names: Sequence[str]) -> list[str]:
    return [
        f'<rect x="{MARGIN + 150 * place}" y="20" width="10" height="10" fill="{color}"/>'
        f'<text x="{MARGIN + 150 * place + 14}" y="29">{html.escape(name)}</text>'
        for place, (name, color) in enumerate(zip(names, COLORS, strict=False))
    ]
