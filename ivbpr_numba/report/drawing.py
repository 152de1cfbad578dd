"""A drawing of lines, areas, texts and pictures: written as SVG in the base install, as PNG by matplotlib."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from ivbpr_numba.errors import EnvironmentProblem
from ivbpr_numba.report.svg import tag
from ivbpr_numba.store.kinds import OURS

__all__ = ["Area", "Drawing", "Line", "Picture", "Words", "need_matplotlib", "width_of"]

FONTS = ("Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")
UNITS_PER_INCH, DOTS_PER_UNIT = 100, 2
Point = tuple[float, float]


def need_matplotlib() -> None:
    """Refuse to draw pixels before anything is computed for them.

    Raises
    ------
    EnvironmentProblem
        matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as problem:
        raise EnvironmentProblem(
            "A .png plot needs matplotlib, which is not installed.",
            'Install the extra: pip install "ivbpr[plot]", or name an .svg file.',
        ) from problem


@dataclass(frozen=True)
class Line:
    """A line through points; `name` marks it for whoever reads the SVG."""

    points: Sequence[Point]
    colour: str
    width: float = 1.0
    dash: tuple[float, float] | None = None
    name: str | None = None


@dataclass(frozen=True)
class Area:
    """A filled polygon."""

    points: Sequence[Point]
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True)
class Words:
    """A line of text with its baseline at `y`; `anchor` is start, middle or end, `angle` in degrees."""

    x: float
    y: float
    text: str
    colour: str
    size: float = 12.0
    anchor: str = "start"
    bold: bool = False
    angle: float = 0.0


@dataclass(frozen=True)
class Picture:
    """A JPEG image whose upper left corner is at (x, y); `name` says what it shows."""

    x: float
    y: float
    width: float
    height: float
    jpeg: bytes
    name: str


@dataclass
class Drawing:
    """Parts in the order in which they are painted; y grows downward, text sizes are in the same units.

    Parameters
    ----------
    width, height : float
    title, text : str
        What a screen reader says of it.
    parts : list
    """

    width: float
    height: float
    title: str
    text: str
    parts: list[Line | Area | Words | Picture] = field(default_factory=list)

    def svg(self) -> str:
        """A file of its own: no style sheet, no script, nothing to fetch."""
        drawn = tag(
            "svg",
            tag("title", self.title),
            tag("desc", self.text),
            tag("rect", width=self.width, height=self.height, fill="#ffffff"),
            *(_as_svg(part) for part in self.parts),
            xmlns="http://www.w3.org/2000/svg",
            width=self.width,
            height=self.height,
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            role="img",
            font_family=", ".join(FONTS) + ", sans-serif",
        )
        return str(drawn) + "\n"

    def encoded(self, suffix: str) -> bytes:
        """The content of a file with this suffix: ``.png``, else SVG.

        Raises
        ------
        EnvironmentProblem
            See `need_matplotlib`.
        """
        if suffix.lower() == ".png":
            return self.png()
        return self.svg().replace(">", f"><!-- {OURS} -->", 1).encode()

    def png(self) -> bytes:
        """The same as pixels, two to a unit.

        Raises
        ------
        EnvironmentProblem
            See `need_matplotlib`.
        """
        need_matplotlib()
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from PIL import Image

        here = {font.name for font in matplotlib.font_manager.fontManager.ttflist}
        with matplotlib.rc_context({"font.family": [name for name in FONTS if name in here]}):
            figure = Figure((self.width / UNITS_PER_INCH, self.height / UNITS_PER_INCH), facecolor="white")
            FigureCanvasAgg(figure)
            axes = figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
            axes.set_axis_off()
            point = 72 / UNITS_PER_INCH  # of a unit
            for order, part in enumerate(self.parts):
                if isinstance(part, Line):
                    dash = (0, tuple(length * point for length in part.dash)) if part.dash else "solid"
                    axes.plot(
                        *zip(*part.points), color=part.colour, linewidth=part.width * point, linestyle=dash,
                        solid_capstyle="butt", solid_joinstyle="round", zorder=order,
                    )  # fmt: skip
                elif isinstance(part, Area):
                    axes.fill(*zip(*part.points), color=part.colour, alpha=part.opacity, lw=0, zorder=order)
                elif isinstance(part, Words):
                    axes.text(
                        part.x, part.y, part.text, color=part.colour, fontsize=part.size * point,
                        ha={"start": "left", "middle": "center", "end": "right"}[part.anchor], va="baseline",
                        fontweight="bold" if part.bold else "normal", parse_math=False, zorder=order,
                        rotation=-part.angle, rotation_mode="anchor",
                    )  # fmt: skip
                else:
                    box = (part.x, part.x + part.width, part.y + part.height, part.y)
                    with Image.open(io.BytesIO(part.jpeg)) as image:
                        axes.imshow(image, extent=box, aspect="auto", interpolation="lanczos", zorder=order)
            axes.set(xlim=(0, self.width), ylim=(self.height, 0))
            out = io.BytesIO()
            figure.savefig(out, format="png", dpi=UNITS_PER_INCH * DOTS_PER_UNIT, metadata={"Software": OURS})
        return out.getvalue()


def width_of(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is in these fonts."""
    narrow, wide = "iljtfrI.,:;'()/|- ", "mwMW@%"
    ems = sum(0.34 if c in narrow else 0.86 if c in wide else 0.7 if c.isupper() else 0.555 for c in text)
    return ems * size * (1.05 if bold else 1.0)


def _as_svg(part: Line | Area | Words | Picture) -> Markup:
    if isinstance(part, Words):
        return tag(
            "text",
            part.text,
            x=part.x,
            y=part.y,
            fill=part.colour,
            font_size=part.size,
            text_anchor=None if part.anchor == "start" else part.anchor,
            font_weight="bold" if part.bold else None,
            transform=f"rotate({part.angle:g} {part.x:.2f} {part.y:.2f})" if part.angle else None,
        )
    if isinstance(part, Picture):
        return tag(
            "image",
            tag("title", part.name),
            x=part.x,
            y=part.y,
            width=part.width,
            height=part.height,
            href="data:image/jpeg;base64," + base64.b64encode(part.jpeg).decode(),
        )
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in part.points)
    if isinstance(part, Area):
        opacity = None if part.opacity == 1 else part.opacity
        return tag("polygon", points=points, fill=part.colour, fill_opacity=opacity)
    return tag(
        "polyline",
        points=points,
        fill="none",
        stroke=part.colour,
        stroke_width=part.width,
        stroke_linejoin="round",
        stroke_dasharray=" ".join(f"{length:g}" for length in part.dash) if part.dash else None,
        data_name=part.name,
    )
