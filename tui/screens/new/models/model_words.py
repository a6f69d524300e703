"""Models in words: cells of the table, lines of the details, and why something cannot be had."""

from rich.text import Text

from .....core import demo
from .....core.errors import SftError
from .....core.hub import failures
from .....core.hub.client import HubError
from .....core.hub.facts import Model
from .....core.sheet import Sheet
from .....core.text import one_line
from ....format import UNKNOWN, clock, counted
from ....services.downloads import Download
from ....services.model_sheets import Looked
from .listing import DEMO_WORDS, Entry, current_folder

MARKS = {"fits": "✓ fits", "tight": "! tight", "over": "✗ over", "unknown": "? unknown"}
ROLES = {"fits": "success", "tight": "warning", "over": "error", "unknown": "muted"}
"""The theme's role of each word; the word alone says the same."""
_SHORT = {
    "train.micro_batch_size": "batch {}",
    "train.gradient_checkpointing": "checkpointing",
    "data.max_length": "length {}",
    "model.quantisation": "QLoRA",
}
_PARTS = {
    "weights": "weights", "adapter": "LoRA", "gradients": "gradients", "optimizer": "optimizer",
    "activations": "activations", "head": "head", "runtime": "runtime",
}  # fmt: skip


def size(value: int | None) -> str:
    """Returns bytes as GiB, with a digit behind the point where it tells something."""
    if value is None:
        return UNKNOWN
    amount = value / 2**30
    return (
        f"{amount:.0f}" if amount >= 20 else f"{amount:.1f}" if amount >= 0.1 else f"{amount:.2f}"
    )


def count(value: int | None) -> str:
    """Returns a number of parameters as people write it, such as 4.02B."""
    if value is None:
        return UNKNOWN
    for unit, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if value >= unit:
            return f"{value / unit:.3g}{letter}"
    return str(value)


def cells(
    entry: Entry, looked: Looked | None, download: Download | None, *, away: bool = False
) -> dict[str, str]:
    """Returns the cells of a row by heading; FIT begins with its word.

    Args:
        entry: The row.
        looked: What was found of it so far.
        download: Its download.
        away: Whether the Hub cannot be asked now.
    """
    row, sheet = entry.row, looked.sheet if looked else None
    about = looked.about if looked else None
    params = (sheet.params if sheet else None) or (row.params if row else None)
    dtype = (row.dtype if row else None) or (sheet.dtype if sheet else None)
    licence = demo.LICENCE if entry.is_demo else row.license if row else None
    template = about.chat_template if about else sheet.chat_template if sheet else None
    return {
        "MODEL": shown_name(entry),
        "PARAMS": count(params),
        "DTYPE": one_line(dtype or UNKNOWN).lower(),
        "LICENCE": one_line(licence or UNKNOWN),
        "GATED": "no" if entry.is_demo else _gated(entry, looked),
        "CHAT": _yes(template),
        "CACHED": _cached(entry, download),
        "FIT": fit(entry, looked, away=away),
    }


def shown_name(entry: Entry) -> str:
    """Returns a model's name; a path below the current folder as one from there."""
    name, here = entry.name, str(current_folder())
    if name == here:
        return "."
    return one_line(f".{name.removeprefix(here)}" if name.startswith(f"{here}/") else name)


def _gated(entry: Entry, looked: Looked | None) -> str:
    if entry.row is None:
        return UNKNOWN
    if not entry.row.gated:
        return "no"
    return "open" if looked and looked.about and looked.about.config else "ask"


def _yes(value: bool | None) -> str:
    return UNKNOWN if value is None else "yes" if value else "no"


def _cached(entry: Entry, download: Download | None) -> str:
    if download is not None and download.state == "running":
        return "↓ …" if download.share is None else f"↓ {download.share * 100:.0f} %"
    if entry.own is None:
        return UNKNOWN
    if entry.own.not_trainable is not None and entry.own.kind == "cached":
        return "part"
    return f"✓ {_bytes(entry.own.size_bytes)}"


def _bytes(value: int) -> str:
    """Returns an amount of bytes in few letters, such as 7.5 G."""
    for unit, letter in ((2**30, "G"), (2**20, "M")):
        if value >= unit / 2:
            return (
                f"{value / unit:.1f} {letter}"
                if value < 10 * unit
                else f"{value / unit:.0f} {letter}"
            )
    return f"{value / 2**10:.0f} K"


def fit(entry: Entry, looked: Looked | None, *, away: bool = False) -> str:
    """Returns whether a row's model fits, as a word and the amounts that it is said of."""
    why = entry.refused or (looked.sheet.refused if looked and looked.sheet else "")
    if why:
        return f"– not trainable ({'adapter' if entry.adapter else one_line(why)})"
    if looked is None:
        unasked = away and not entry.here
        return f"{MARKS['unknown']}: Hub not reachable" if unasked else "… asking"
    if looked.sheet is None:
        failure = looked.failure
        gated = isinstance(failure, HubError) and failure.kind == "gated"
        why = "licence not accepted" if gated else failure.why if failure else ""
        return one_line(f"{MARKS['unknown']}: {why}" if why else MARKS["unknown"])
    sheet = looked.sheet
    if sheet.total is None:
        return one_line(f"{MARKS['unknown']}: {sheet.why}" if sheet.why else MARKS["unknown"])
    if sheet.overrides:
        changed = [_SHORT[key].format(v) for key, v in sheet.overrides.items() if key in _SHORT]
        instead = f"{', '.join(changed)} ~{size(sheet.instead_total)} ✓"
        return f"{MARKS[sheet.word]:<7}  ~{size(sheet.total)} · {instead}"
    return f"{MARKS[sheet.word]:<7}  ~{size(sheet.total)} of {size(sheet.capacity)} GiB"


def role(text: str) -> str:
    """Returns the theme's role of a FIT cell."""
    return next((ROLES[word] for word, mark in MARKS.items() if text.startswith(mark)), "muted")


def detail_lines(
    entry: Entry, looked: Looked | None, endpoint: str, *, away: bool = False, brief: bool = False
) -> list[str]:
    """Returns what is known of a model, the most important line first.

    Args:
        entry: The row.
        looked: What was found of it so far.
        endpoint: Of the Hub.
        away: Whether the Hub cannot be asked now.
        brief: Leaves out what the memory is made of.
    """
    problem = why_not(entry, looked, endpoint)
    lines = [f"✗ {problem}"] if problem else []
    if entry.is_demo:
        lines.append(DEMO_WORDS + ("" if entry.own else " The first run fetches it from the Hub."))
    hub = [_on_hub(entry, looked.about if looked else None)] if entry.row is not None else []
    if looked is None:
        if entry.refused:
            return [*lines, *hub]
        unasked = away and not entry.here
        why = "Not known: the Hub is not reachable." if unasked else "Reading its files' headers…"
        return [*lines, why, *hub]
    if looked.sheet is None:
        return [*lines, *hub]
    sheet = looked.sheet
    if not problem:
        lines.append(memory_line(sheet, brief=brief))
    if sheet.instead:
        lines.append(f"Would fit with {sheet.instead}: ~{size(sheet.instead_total)} GiB.")
    elif sheet.word == "over" and sheet.why:
        lines.append(f"✗ over: {sheet.why}.")
    lines += [_what(sheet, looked.about), *hub]
    return [one_line(line) for line in lines if line]


def memory_line(sheet: Sheet, *, brief: bool = False) -> str:
    """Returns the estimate, as a sum unless it is to be brief; "" without one."""
    if sheet.total is None:
        return f"{MARKS['unknown']}: {sheet.why}" if sheet.why else ""
    parts = " + ".join(f"{_PARTS[name]} {size(value)}" for name, value in _largest(sheet.parts))
    return (
        f"{MARKS[sheet.word]} · memory ~{size(sheet.total)} of {size(sheet.capacity)} GiB"
        f"{'' if brief else f' = {parts}'} (±{sheet.spread * 100:.0f} %)"
    )


def _largest(parts: dict[str, int]) -> list[tuple[str, int]]:
    """Returns the parts with the small ones of the adapter as one."""
    small = ("adapter", "gradients", "optimizer")
    joined = {name: value for name, value in parts.items() if name not in small}
    joined = {"adapter": sum(parts.get(name, 0) for name in small), **joined}
    order = ("weights", "adapter", "activations", "head", "runtime")
    return [(name, joined.get(name, 0)) for name in order]


def _what(sheet: Sheet, about: Model | None) -> str:
    code = about.remote_code if about else []
    brings = f"brings {len(code)} Python files, which are never run" if code else ""
    template = about.chat_template if about else sheet.chat_template
    facts = [
        f"sha {about.repo.commit[:7]}" if about else "",
        sheet.architecture or "",
        f"{count(sheet.params)} parameters" if sheet.params else "",
        f"{sheet.layers} layers" if sheet.layers else "",
        f"context {sheet.context:,}" if sheet.context else "",
        "" if template is None else f"chat template {_yes(template)}",
        brings,
    ]
    return " · ".join(fact for fact in facts if fact)


def _on_hub(entry: Entry, about: Model | None) -> str:
    row = entry.row
    assert row is not None
    facts = [
        f"licence {row.license or UNKNOWN}",
        "gated" if row.gated else "",
        f"{row.downloads:,} downloads",
        f"{row.likes:,} likes",
        f"updated {row.updated}" if row.updated else "",
        f"tuned from {about.base_model}" if about and about.base_model else "",
    ]
    return " · ".join(fact for fact in facts if fact)


def base_of(entry: Entry, looked: Looked | None) -> str | None:
    """Returns the base model of an adapter, as far as it is known."""
    if entry.own is not None and entry.own.base:
        return entry.own.base
    return looked.about.base_model if looked and looked.about else None


def why_not(entry: Entry, looked: Looked | None, endpoint: str) -> str:
    """Returns why a model cannot be used, and what to do; "" where nothing is known against it."""
    name = one_line(entry.name)
    if entry.adapter:
        base = base_of(entry, looked)
        begins = f" Enter takes its base {one_line(base)} instead, untuned." if base else ""
        return (
            f"{name} is an adapter: training does not go on from one, only from whole models."
            f"{begins}"
        )
    if entry.refused == "GGUF only":
        return (
            f"{name} has GGUF files only. Download one and choose it under Local (t): its weights "
            "are unpacked once."
        )
    if entry.refused:
        return f"{name} cannot be trained: {entry.refused}."
    if looked is not None and looked.sheet is not None and looked.sheet.refused:
        return f"{name} cannot be trained: {looked.sheet.refused}."
    if looked is not None and looked.failure is not None:
        return failure(looked.failure, name, endpoint)
    return ""


def failure(error: SftError, name: str, endpoint: str) -> str:
    """Returns why the Hub did not give a model, and which key helps."""
    if not isinstance(error, HubError):
        return one_line(f"{error}. {error.remedy}.")
    if error.kind == "gated":
        open_it = failures.gated(name, endpoint, signed_in=True).remedy
        return one_line(
            f"{name} needs its licence accepted: {open_it}, then press T to give a token "
            "(hidden, kept by huggingface_hub alone)."
        )
    if error.kind == "limit":
        return f"The Hub asks to wait {error.wait_s or 0} s before {name} can be looked at."
    if error.kind == "token":
        return one_line(f"{error.what}: {error.why}. Press T to give another.")
    if error.kind == "missing":
        return one_line(f"{error}. Check the name; for a private one press T to give a token.")
    return one_line(f"{name} was not looked at: {error.what} ({error.why}). Press r to try again.")


def state_words(error: SftError, cached: int, wait_s: int) -> str:
    """Returns why there is no list of the Hub, and what can be done meanwhile.

    Args:
        error: What the Hub, or the way there, said.
        cached: How many models can be used meanwhile.
        wait_s: Seconds until the Hub may be asked again.
    """
    if not isinstance(error, HubError):
        return one_line(f"{error}. {error.remedy}.")
    own = "no cached models" if not cached else counted(cached, "cached model")
    if error.kind == "limit":
        return limited(wait_s)
    if error.kind == "token":
        return one_line(f"{error.what}: {error.why}. Press T to give another.")
    what = "Hub gives no answer" if error.kind == "timeout" else "Hub not reachable"
    if error.kind in ("offline", "server", "garbled", "missing", "gated"):
        what = error.what[:1].upper() + error.what[1:]
    why = error.why
    return one_line(f"{what} ({why}). Showing {own}. Press r to retry, t for local folders.")


def limited(wait_s: int) -> str:
    """Returns what is said while the Hub wants to be left alone."""
    return f"Hub asks to wait {wait_s} s; cached models still work."


def download_line(download: Download) -> str:
    """Returns how far a download is, or why it ended."""
    name = one_line(download.request.id, 60)
    event = download.event
    if download.state == "failed" and download.failure is not None:
        error = download.failure
        return one_line(f"✗ {error}. {error.remedy}. D tries again.")
    if download.state == "stopped":
        return f"Download of {name} stopped: what came stays. D goes on."
    if event is None or (not event.bytes_total and event.event == "progress"):
        return f"↓ {name}: asking for its files…"
    if event.event == "waiting":
        return one_line(f"↓ {name}: waiting {event.wait_s or '…'} s: {event.reason}")
    rate = f" · {event.bytes_per_s / 2**20:.1f} MiB/s" if event.bytes_per_s else ""
    left = f" · {clock(event.left_s)} left" if event.left_s is not None else ""
    done, total = event.bytes_done / 2**20, event.bytes_total / 2**20
    share = f"{event.bytes_done / event.bytes_total * 100:.0f} %" if event.bytes_total else ""
    return f"↓ {name} {share} · {done:,.1f} of {total:,.1f} MiB{rate}{left} · D stops it"


def title(parts: list[str]) -> Text:
    """Returns a border's title; a plain string would be read as markup."""
    return Text(" · ".join(one_line(part) for part in parts if part))
