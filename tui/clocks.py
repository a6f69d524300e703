"""Times of the clock as screens show them, in the zone that the settings name."""

import time
from datetime import UTC, datetime, tzinfo

_LAST = datetime(9000, 1, 1, tzinfo=UTC).timestamp()
"""Damaged events may tell of later times, for which no zone has rules."""


class _Shown:
    zone: tzinfo | None = None
    """None is the zone of this machine."""


def use(zone: str) -> None:
    """Shows times in another zone from now on; "" is that of this machine."""
    if not zone:
        _Shown.zone = None
        return
    from zoneinfo import ZoneInfo  # 10 ms, only where a zone is chosen

    _Shown.zone = ZoneInfo(zone)


def at(t: float | None = None, form: str = "%H:%M") -> str:
    """Returns a time as the clock shows it; `t` is in seconds since the epoch, None is now."""
    t = time.time() if t is None else t
    if _Shown.zone is None:
        return time.strftime(form, time.localtime(t))
    known = datetime.fromtimestamp(min(max(t, 0.0), _LAST), _Shown.zone)
    ahead = known.utcoffset()
    return time.strftime(form, time.gmtime(t + (ahead.total_seconds() if ahead else 0.0)))
