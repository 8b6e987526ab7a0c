"""Numbers as people read them: no more digits than they are good for."""

from collections.abc import Mapping

FEW = "few requests, for a look only"
"""What a figure is that would not be published."""


def short(value: float | None) -> str:
    """Return the number with as many digits as are worth reading."""
    return number(value, 0 if value is None or value >= 100 else 2 if value >= 1 else 3)


def milliseconds(value: float) -> str:
    return number(value, 0 if value >= 100 else 1)


def factor(ratio: float) -> str:
    """Return a ratio of two measurements, with no more digits than they are good for."""
    return f"{ratio:,.{0 if ratio >= 100 else 1 if ratio >= 10 else 2}f}"


def number(value: float | None, digits: int) -> str:
    """Return the number as text, "-" where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def kinds(failed: Mapping[str, int]) -> str:
    """Return failures by status code or by what came instead: "3 x 500, 1 x timeout"; "0" without any."""
    return ", ".join(f"{many:,} x {kind}" for kind, many in sorted(failed.items()) if many) or "0"
