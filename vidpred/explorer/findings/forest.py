"""A claim and its intervals as HTML: a line for each setting, as a forest plot shows the trials of a treatment."""

from html import escape

MARKS = {"holds": "holds", "does not hold": "fails", "cannot tell": "unknown"}  # verdict -> class
WIDEST = 4
"""Of an interval on the axis, in widths of the median one: two seeds that disagree must not flatten all the others."""


def summary_html(claims: list[dict]) -> str:
    """Every claim in a line under its verdict, with the difference in the reports' setting; a link to its plot."""
    groups = []
    for verdict in MARKS:
        lines = [_line(claim) for claim in claims if claim["verdict"] == verdict]
        if lines:
            groups.append(
                f"<div><p>{_verdict(verdict)} {len(lines)} of {len(claims)}</p><ul>{''.join(lines)}</ul></div>"
            )
    return f'<div class="claim summary">{"".join(groups)}</div>'


def _line(claim: dict) -> str:
    first = claim["settings"][0]
    found = lacking(first) if first["mean"] is None else f"{number(first['mean'])} {escape(claim['unit'])}".strip()
    # Gradio's <base> has no query: an address of the fragment alone would load the page anew
    click = f"document.getElementById('claim-{claim['id']}').scrollIntoView(); return false"
    return f'<li><a href="#" onclick="{click}">{escape(claim["says"])}</a> <small>{found}</small></li>'


def claim_html(claim: dict) -> str:
    """The claim, its verdict in the reports' setting, and every setting's difference with its interval."""
    low, high = _range(claim)
    axis = "".join(f'<i class="{kind}" style="{_at(at, low, high)}"></i>' for kind, at in _lines(claim))
    rows = "".join(_row(claim, setting, low, high, axis) for setting in claim["settings"])
    unit = f", {escape(claim['unit'])}" if claim["unit"] else ""
    return (
        f'<div class="claim"><p class="says">{_verdict(claim["verdict"])} {escape(claim["says"])} '
        f"<small>{escape(claim['source'])}</small></p>"
        f'<div class="forest"><div class="row head"><span>setting</span>'
        f"<span><em>{number(low)} against</em><em>for {number(high)}</em></span>"
        f"<span>{escape(claim['statistic'])}{unit}</span></div>{rows}</div></div>"
    )


def _row(claim: dict, setting: dict, low: float, high: float, axis: str) -> str:
    name = escape(setting["setting"])
    if setting["mean"] is None:
        bar, numbers, verdict = "", lacking(setting), ""
    else:
        ends = [min(max(setting[end], low), high) for end in ("low", "high")]
        place = f"left:{_share(ends[0], low, high):.2f}%;right:{100 - _share(ends[1], low, high):.2f}%"
        mark = MARKS[setting["verdict"]]
        cut = " ".join(end for end, at in zip(("from", "to"), ends) if at not in (setting["low"], setting["high"]))
        bar = f'<i class="interval {mark} {cut}" style="{place}"></i>'
        bar += f'<i class="mean {mark}" style="{_at(setting["mean"], low, high)}"></i>'
        verdict = _verdict(setting["verdict"])
        numbers = f"<b>{number(setting['mean'])}</b> ({number(setting['low'])} … {number(setting['high'])})"
    return (
        f'<div class="row"><span>{name}</span><span class="bar">{axis}{bar}</span>'
        f"<span><span>{numbers}</span>{verdict}</span></div>"
    )


def lacking(setting: dict) -> str:
    """How many runs, or pairs of them, are there of a setting that has too few for an interval."""
    return too_few(setting["pairs"], "pairs of runs" if setting["runs"][0][1] else "runs")


def too_few(there: int, what: str) -> str:
    """Of two that an interval needs."""
    return f"{there} of the 2 {what} needed"


def number(value: float) -> str:
    """With its sign, and as many digits as tell something."""
    return f"{value:+.1f}" if abs(value) >= 10 else f"{value:+.2f}"


def _verdict(verdict: str) -> str:
    return f'<b class="verdict {MARKS[verdict]}">{verdict}</b>'


def _lines(claim: dict) -> list[tuple[str, float]]:
    """What decides: no difference, or the least one that the claim speaks of, or those that count as little."""
    if claim["test"] == "little":
        return [("limit", -claim["margin"]), ("zero", 0.0), ("limit", claim["margin"])]
    return [("zero", claim["least"])]


def _range(claim: dict) -> tuple[float, float]:
    """Of the axis: every mean is on it, and every interval that is not far wider than the others."""
    values = [at for _, at in _lines(claim)]
    known = [s for s in claim["settings"] if s["mean"] is not None]
    widths = sorted(s["high"] - s["low"] for s in known)
    reach = WIDEST / 2 * widths[(len(widths) - 1) // 2] if widths else 0.0
    values += [min(max(s[end], s["mean"] - reach), s["mean"] + reach) for s in known for end in ("low", "high")]
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 1.0
    return low - room, high + room


def _share(value: float, low: float, high: float) -> float:
    return 100 * (value - low) / (high - low)


def _at(value: float, low: float, high: float) -> str:
    return f"left:{_share(value, low, high):.2f}%"
