"""Plots for docs/performance.md: SVG, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

FOLDER = Path(__file__).parents[2] / "docs" / "img"
LINE, GOAL = "#1f5aa6", "#b03a2e"
mpl.rcParams |= {
    "svg.hashsalt": "productionservice", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.6, "lines.linewidth": 1.6,
    "figure.facecolor": "white",
}  # fmt: skip


def growth_plot(points: Sequence[Mapping[str, Any]], children: int) -> None:
    """CPU for each service and memory, by number of services."""
    canvas = Canvas(figsize=(9, 3.4), layout="constrained")
    cpu, memory = canvas.subplots(1, 2)
    services = [point["services"] for point in points]
    cpu.plot(services, [point["cpu_ms"] for point in points], "o-", color=LINE)
    _label(cpu, "CPU for each service, from nothing", "services", "ms")
    memory.plot(services, [point["rss_mb"] for point in points], "o-", color=LINE)
    memory.plot([0, 2000], [200, 200], "--", color=GOAL, label="goal at 2,000 services")
    memory.legend(frameon=False)
    _label(memory, f"Memory, {children} children a service", "services", "MB")
    _save(canvas, "operator-growth.svg")


def latency_plot(times: Mapping[str, Sequence[float]], goals: Mapping[str, float]) -> None:
    """How many of the reactions took at most so long, with the goals."""
    canvas = Canvas(figsize=(6.5, 3.4), layout="constrained")
    axes = canvas.subplots()
    for (name, values), color in zip(times.items(), (LINE, "#2e8b57"), strict=False):
        ordered = sorted(values)
        shares = [(index + 1) / len(ordered) * 100 for index in range(len(ordered))]
        axes.step(
            [value * 1e3 for value in ordered],
            shares,
            where="post",
            color=color,
            label=name.replace("_", " "),
        )
        axes.axvline(goals[name] * 1e3, linestyle="--", color=color, linewidth=1)
    axes.set_xscale("log")
    axes.legend(frameon=False, loc="center right", bbox_to_anchor=(0.82, 0.5))
    _label(axes, "Reactions (dashed: goals for P99)", "ms", "% took at most so long")
    _save(canvas, "operator-latency.svg")


def soak_plot(minutes: Sequence[float], rss_mb: Sequence[float], settling: float) -> None:
    """Memory over the time of a soak, with the end of its settling."""
    canvas = Canvas(figsize=(6.5, 3.0), layout="constrained")
    axes = canvas.subplots()
    axes.plot(minutes, rss_mb, color=LINE)
    axes.axvline(settling, linestyle="--", color=GOAL, linewidth=1)
    _label(axes, "Memory with churn (dashed: settled)", "minutes", "MB")
    _save(canvas, "operator-soak.svg")


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.05)


def _save(canvas: Canvas, name: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    canvas.savefig(FOLDER / name, metadata={"Date": None})
