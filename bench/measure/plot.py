"""Line plots as SVG, readable on a light page and on a dark one."""
import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 150, 34, 48
# Told apart also without colour: by their dashes and marks.
DASHES = ("", "6 3", "2 3", "8 3 2 3")
STYLE = """text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:13px}.grid{stroke:#8886;stroke-width:1}
.l0{stroke:#1f5fbf;fill:#1f5fbf}.l1{stroke:#b3441c;fill:#b3441c}.l2{stroke:#1d7d43;fill:#1d7d43}.l3{stroke:#7a3fb0;fill:#7a3fb0}
path{fill:none!important;stroke-width:2}
@media(prefers-color-scheme:dark){text{fill:#ddd}.l0{stroke:#7fb0ff;fill:#7fb0ff}.l1{stroke:#ff9e6e;fill:#ff9e6e}
.l2{stroke:#6fd394;fill:#6fd394}.l3{stroke:#cf9dfb;fill:#cf9dfb}}"""


@dataclass(frozen=True)
class Line:
    name: str
    points: list[tuple[float, float, float, float]]  # x, middle, lowest, highest


@dataclass(frozen=True)
class Picture:
    title: str
    x_title: str
    y_title: str
    logarithmic: bool
    lines: list[Line]


def ticks(highest: float) -> list[float]:
    """Round values from 0 to at least the highest, four to eight of them."""
    step = 10 ** math.floor(math.log10(highest)) if highest > 0 else 1.0
    while highest / step < 3:
        step /= 2
    return [step * i for i in range(math.ceil(highest / step) + 1)]


def short(value: float) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size and value % (size / 10) == 0:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def draw(p: Picture) -> str:
    """The picture; its y axis begins at 0, so that flat looks flat."""
    xs = sorted({x for line in p.lines for x, *_ in line.points})
    if not xs:
        xs = [0.0]

    def across(x: float) -> float:
        return math.log10(x) if p.logarithmic else x
    first, last = across(xs[0]), across(xs[-1])
    marks = ticks(max((high for line in p.lines for *_, high in line.points), default=1.0))

    def at_x(x: float) -> float:
        share = (across(x) - first) / (last - first) if last > first else 0.5
        return LEFT + 14 + share * (WIDTH - LEFT - RIGHT - 28)

    def at_y(y: float) -> float:
        return HEIGHT - BOTTOM - y / marks[-1] * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(p.title)}">',
           f"<style>{STYLE}</style>", f'<text class="title" x="{LEFT}" y="18">{escape(p.title)}</text>',
           f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(p.x_title)}</text>',
           f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(p.y_title)}</text>']
    for y in marks:
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}"/>'
                   f'<text x="{LEFT - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    out += [f'<text x="{at_x(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(x)}</text>' for x in xs]
    for i, line in enumerate(p.lines):
        out += _line(i, line, at_x, at_y)
    return "\n".join([*out, "</svg>"]) + "\n"


def _line(i: int, line: Line, at_x: Callable[[float], float], at_y: Callable[[float], float]) -> list[str]:
    look = f'class="l{i % 4}"'
    way = " L".join(f"{at_x(x):.1f} {at_y(mid):.1f}" for x, mid, _, _ in line.points)
    out = [f'<path {look} stroke-dasharray="{DASHES[i % 4]}" d="M{way}"/>']
    for x, mid, low, high in line.points:
        out.append(f'<line {look} x1="{at_x(x):.1f}" x2="{at_x(x):.1f}" y1="{at_y(low):.1f}" y2="{at_y(high):.1f}"/>'
                   f'<circle {look} cx="{at_x(x):.1f}" cy="{at_y(mid):.1f}" r="3"/>')
    y = TOP + 12 + 20 * i
    out.append(f'<path {look} stroke-dasharray="{DASHES[i % 4]}" d="M{WIDTH - RIGHT + 10} {y} h24"/>'
               f'<text x="{WIDTH - RIGHT + 40}" y="{y + 4}">{escape(line.name)}</text>')
    return out
