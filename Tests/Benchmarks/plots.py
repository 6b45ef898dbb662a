"""Draws the two pictures as SVG, with nothing but text."""

import math
import statistics
from html import escape

from report import SUBJECTS, by_subject, figure_of

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 456, 70, 190, 40, 71
# Told apart without red and green, and the same in every picture.
COLOURS = dict(zip(SUBJECTS, [
    "#777777", "#e69f00", "#56b4e9", "#cc79a7", "#d55e00", "#a6761d", "#b9b9b9", "#000000",
    "#0072b2", "#009e73"]))
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
RATE = 20  # Tokens a second of each stream, where their number is what changes.


def drawings(runs, known):
    """Name and SVG of those for which there are figures; below each what machine it was."""
    library = known["OpenSSL"].split(" (")[0]
    note = f"{known['date']}, {known['processor']}, {library}, Ratel {known['Ratel']}"
    streams = [run for run in runs if run["kind"] in ("stream", "daily") and run["rate"]
               and "failure" not in run]
    found = {}
    for name, what, is_http2 in (("cost", "each with a connection", False),
                                 ("cost-h2", "over 8 connections of HTTP/2", True)):
        own = [run for run in streams if run["http2"] == is_http2]
        if costs := cost_lines(own):
            counts = sorted({count for line in costs.values() for count, _ in line})
            found[name] = draw(
                f"CPU per token against the number of streams, {what}",
                "streams, 20 tokens/s each", "µs of CPU per token", costs, counts, str, upright,
                note)
    for workload in dict.fromkeys(run["workload"] for run in streams):
        own = [run for run in streams if run["workload"] == workload]
        if own[0]["portion"] == "curve":
            continue
        ticks = [1 / (1 - value) for value in QUANTILES.values()]
        found["latency-" + workload] = draw(
            f"From the backend's send to the caller's read, {workload}", "percentile of tokens",
            "µs", latency_lines(own), ticks, percentile, logarithmic, note)
    return found


def cost_lines(runs):
    """Over TCP, at one rate of tokens."""
    lines = {}
    runs = [run for run in runs if run["rate"] == RATE and not run["workload"].endswith("-unix")]
    for name, own in by_subject(runs):
        counts = sorted({run["streams"] for run in own})
        if name != "direct":
            lines[name] = [(count, statistics.median(
                figure_of(run) for run in own if run["streams"] == count)) for count in counts]
    return lines


def latency_lines(runs):
    """Medians over the repetitions of each quantile."""
    return {name: [(1 / (1 - share), statistics.median(run["lat_us"][quantile] for run in own))
                   for quantile, share in QUANTILES.items()]
            for name, own in by_subject(runs)}


def percentile(tick):
    return f"{100 * (1 - 1 / tick):.4g}"


def upright(values):
    """A scale from zero, with about five marks."""
    most = max(values)
    step = 10 ** math.floor(math.log10(most / 4)) if most else 1
    step *= next(factor for factor in (1, 2, 5, 10) if most / (step * factor) <= 6)
    top = step * math.ceil(most / step)
    marks = [step * number for number in range(round(top / step) + 1)]
    return (lambda value: value / top), marks


def logarithmic(values):
    low, high = math.log10(max(1, min(values))), math.log10(max(10, *values))
    low, high = math.floor(low), math.ceil(high)
    return (lambda value: (math.log10(max(1, value)) - low) / (high - low)), [
        10 ** power for power in range(low, high + 1)]


def draw(title, below, beside, lines, ticks, label, scale, note):
    place, marks = scale([value for line in lines.values() for _, value in line])
    points = [x for line in lines.values() for x, _ in line]
    first, last = math.log(min(points)), math.log(max(points))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def across(x):
        return LEFT + wide * ((math.log(x) - first) / (last - first) if last > first else 0.5)

    def up(value):
        return TOP + high * (1 - place(value))

    parts = [text(LEFT, 24, title, "start", 15), text(LEFT, HEIGHT - 8, note, "start", 9)]
    for mark in marks:
        parts.append(f'<path d="M{LEFT} {up(mark):.1f}h{wide}" stroke="#ddd"/>')
        parts.append(text(LEFT - 8, up(mark) + 4, f"{mark:,.10g}", "end"))
    for tick in ticks:
        if min(points) <= tick * 1.0001 and tick <= max(points) * 1.0001:
            parts.append(text(across(tick), TOP + high + 18, label(tick), "middle"))
    parts.append(text(LEFT + wide / 2, HEIGHT - 28, below, "middle"))
    parts.append(f'<g transform="rotate(-90)">{text(-TOP - high / 2, 16, beside, "middle")}</g>')
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[name]
        path = " ".join(f"{across(x):.1f},{up(value):.1f}" for x, value in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across(x):.1f}" cy="{up(value):.1f}" r="3" fill="{colour}"/>'
                  for x, value in line]
        row = TOP + 14 + 20 * number
        side = WIDTH - RIGHT + 16
        parts.append(f'<path d="M{side} {row - 4}h18" stroke="{colour}" stroke-width="3"/>')
        parts.append(text(side + 24, row, name, "start"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="sans-serif"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n'
            + "\n".join(parts) + "\n</svg>\n")


def text(x, y, content, anchor, size=12):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
            f"{escape(content)}</text>")
