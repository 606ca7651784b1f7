"""What three answers at 500 tokens/s each cost a page: token to pixel, longest task, Stop, bytes, frames per second.

A model server inside this bench speaks the OpenAI wire and says numbered words in Markdown, each in an event of its
own; it notes when it wrote which. The Compare page asks it three times at once, in JupyterLab and in stand-alone Voilà,
in a headless Chromium. In every frame, after layout and before paint, the page notes the newest number that each column
shows, and stamps it in the first task after that paint; the compositor's part (a frame at most) is not seen. Both
stamps are CLOCK_MONOTONIC: the page's origin is found by asking for its clock until an answer took little time. A token
that was never shown (Stop came before) counts as shown at the end, so that falling behind cannot flatter anybody.

The peer is the naive way: three `ipywidgets.HTML`, rewritten every 50 ms with all of the text, rendered in the kernel,
which reads the same model server directly. It has no service, no store and no metering to pass.

Then conversations of 20 and of 2,000 messages are opened from the list in turns, from the press to the frame that shows
the last message in its place. Last, a preheated dashboard beside a bare page (`_dashboards.py`).

    bench/ui.py [--quick] [--json FILE]

Full: three rounds of 5,000 tokens a stream, ours and the peer in turns in both hosts, Stop by button and by Escape in
turns; 15 openings of each size in both hosts; seven rounds of dashboards. Quick (40 s): Voilà alone, one round of 1,000
tokens, Stop by button, 5 openings, three rounds of dashboards.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _dashboards
import _naive_page
import _opening
from _probe import PROBE, launch, origin
from _report import Row, arguments, finish, median, percentile, spread
from _speaker import MODELS, NUMBER, TOKENS_PER_S, Speaker
from _workspace import END_LIMIT_S, HOSTS, START_LIMIT_S, end_sessions, open_notebook, wait_for, workspace
from playwright.sync_api import Browser, Page, expect, sync_playwright

PEER = _naive_page.PEER
OURS_CELL = """
from llmws import ui

ui.Compare(models=["scripted/one", "scripted/two", "scripted/three"])
"""


@dataclass(frozen=True)
class Take:
    """One run of one side in one host. `half_bytes` came until half of all tokens were shown."""

    token_ms: list[float]
    longest_ms: float
    stop_ms: float
    bytes: int
    half_bytes: int
    shown: int
    frames_per_s: float
    rate: float


@dataclass
class Bench:
    """What is measured: the model server, the browser, and the addresses of JupyterLab and Voilà."""

    speaker: Speaker
    browser: Browser
    tokens: int
    urls: dict[str, str]

    def take(self, host: str, side: str, escape: bool) -> Take:
        """Open a page, stream, stop, and read what it noted."""
        context = self.browser.new_context(viewport={"width": 1440, "height": 1100}, locale="en-US")
        context.set_default_timeout(START_LIMIT_S * 1000)
        context.add_init_script(PROBE)
        try:
            page = self._open(context.new_page(), host, side)
            return self._streamed(page, side, escape)
        finally:
            context.close()
            if host == "lab":
                end_sessions(self.urls["lab"])

    def _open(self, page: Page, host: str, side: str) -> Page:
        open_notebook(page, host, self.urls, side)
        if side == "ours":
            expect(page.locator(".lw-chip")).to_have_count(len(MODELS), timeout=START_LIMIT_S * 1000)
        else:
            page.get_by_role("button", name="Start", exact=True).wait_for()
        return page

    def _streamed(self, page: Page, side: str, escape: bool) -> Take:
        self.speaker.written.clear()
        began = origin(page)
        if side == "ours":
            page.evaluate("bench.watch('.lw-column', '.lw-answer[data-running=true]')")
            composer = page.get_by_role("textbox", name="Message")
            composer.fill("Speak.")
            composer.press("Enter")
            stop = page.get_by_role("button", name="Stop all")
        else:
            page.evaluate("bench.watch('.bench-column', '.bench-running')")
            page.get_by_role("button", name="Start", exact=True).click()
            stop = page.get_by_role("button", name="Stop", exact=True)
        stop.scroll_into_view_if_needed()
        place = stop.bounding_box()
        assert place is not None
        self._wait_until_said()
        page.evaluate("bench.asked = null")
        if escape and side == "ours":
            page.keyboard.press("Escape")
        else:
            page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        try:
            wait_for(lambda: page.evaluate("bench.stopped()"), END_LIMIT_S)
        except TimeoutError:
            # The peer may be further behind than anybody waits; then this long is what is told.
            if side == "ours":
                raise
        told = page.evaluate("({ ...bench, now: performance.now() })")
        if told["asked"] is None:
            raise SystemExit("Stop was not pressed: something stands in front of it")
        columns = ".lw-column" if side == "ours" else ".bench-column"
        texts = page.locator(columns).evaluate_all("all => all.map(one => one.textContent)")
        if abs(origin(page) - began) > 0.005:
            raise SystemExit("the clocks of page and bench drift apart: nothing can be said")
        if side == "ours":
            for text in texts:
                numbers = [int(number) for number in NUMBER.findall(text)]
                if numbers != list(range(len(numbers))) or len(numbers) < self.tokens / 2:
                    raise SystemExit(f"a column of {len(numbers)} tokens lacks some, or has them in another order")
        wait_for(lambda: not self.speaker.speaking, END_LIMIT_S)
        return self._read(told, began)

    def _wait_until_said(self) -> None:
        def said() -> bool:
            return min((len(self.speaker.written.get(name, ())) for name in MODELS), default=0) >= self.tokens

        wait_for(said, START_LIMIT_S + 3 * self.tokens / TOKENS_PER_S)

    def _read(self, told: dict[str, Any], began: float) -> Take:
        written = [[1000 * (at - began) for at in self.speaker.written[name]] for name in MODELS]
        asked = told["asked"]
        first = min(stamps[0] for stamps in written)
        frames = [frame for frame in told["frames"] if len(frame) == 3 + len(MODELS) and frame[0] >= first]
        ended = next((frame[0] for frame in frames if frame[0] > asked and frame[2] == 0), told["now"])
        frames = [frame for frame in frames if frame[0] <= ended]
        times = [frame[0] for frame in frames]
        late: list[float] = []
        for column, stamps in enumerate(written):
            # What was rewritten may show less for a moment; it was seen all the same.
            newest = _running_most([frame[3 + column] for frame in frames])
            for number, at in enumerate(stamps):
                if at < asked:
                    found = bisect_left(newest, number)
                    late.append((times[found] if found < len(times) else ended) - at)
        shown = [sum(frame[3:]) + len(MODELS) for frame in frames]
        half = next(index for index, amount in enumerate(shown) if amount >= max(shown) / 2)
        before = frames[0][1]
        spans = [(len(stamps) - 1) * 1000 / (stamps[-1] - stamps[0]) for stamps in written]
        return Take(
            late,
            max((length for at, length in told["tasks"] if at + length > first and at < ended), default=0.0),
            ended - asked,
            frames[-1][1] - before,
            frames[half][1] - before,
            max(shown),
            1000 * (len(frames) - 1) / (times[-1] - times[0]),
            min(spans),
        )


def _running_most(numbers: list[int]) -> list[int]:
    most, seen = -1, []
    for number in numbers:
        most = max(most, number)
        seen.append(most)
    return seen


def rows(host: str, ours: list[Take], peers: list[Take]) -> list[Row]:
    """The figures of one host; what is measured once per round stands as the median of the rounds."""

    def row(
        name: str,
        unit: str,
        figure: Callable[[Take], float],
        most: float | None = None,
        of: Callable[[list[float]], float] = median,
    ) -> Row:
        mine, theirs = [figure(take) for take in ours], [figure(take) for take in peers]
        value, peer = of(mine), of(theirs) if theirs else None
        return Row(
            f"{HOSTS[host]}: {name}",
            value,
            unit,
            PEER if theirs else None,
            peer,
            value / peer if peer else None,
            None if most is None else f"at most {most:g} {unit}".rstrip(),
            None if most is None else value <= most,
            spread(mine),
        )

    return [
        row("token to pixel, p95", "ms", lambda take: percentile(take.token_ms, 0.95), 150),
        row("token to pixel, median", "ms", lambda take: median(take.token_ms)),
        row("longest main-thread task (0: none of 50)", "ms", lambda take: take.longest_ms, 100, max),
        row("Stop", "ms", lambda take: take.stop_ms, 150),
        row("bytes per token shown", "B", lambda take: take.bytes / take.shown),
        row("bytes at 2N tokens over those at N", "", lambda take: take.bytes / take.half_bytes, 2.2),
        row("frames", "1/s", lambda take: take.frames_per_s),
        row("tokens that a stream was given", "1/s", lambda take: take.rate),
    ]


def _waited_for_cpu_s() -> float | None:
    """For how long, since the machine started, somebody waited for a CPU; None where the kernel does not tell."""
    file = Path("/proc/pressure/cpu")
    found = re.search(r"some .*total=(\d+)", file.read_text()) if file.exists() else None
    return int(found[1]) / 1e6 if found else None


def main() -> None:
    asked = arguments(__doc__ or "")
    hosts, rounds, tokens, openings = (("voila",), 1, 1000, 5) if asked.quick else (tuple(HOSTS), 3, 5000, 15)
    takes: dict[tuple[str, str], list[Take]] = {(host, side): [] for host in hosts for side in ("ours", "peer")}
    loads, begun, waited_s = [os.getloadavg()[0]], time.monotonic(), _waited_for_cpu_s()
    speaker = Speaker()
    speaker.start()
    with (
        tempfile.TemporaryDirectory(prefix="llmws-bench-", ignore_cleanup_errors=True) as folder,
        sync_playwright() as it,
    ):
        browser = launch(it, _dashboards.OFFLINE)
        cells = {
            "ours": OURS_CELL,
            "peer": _naive_page.CELL.replace("ADDRESS", speaker.address),
            "chat": _opening.CELL,
        }
        opened: list[Row] = []
        with workspace(Path(folder), speaker.address, cells, hosts) as urls:
            _opening.fill(Path(folder) / "data")
            bench = Bench(speaker, browser, tokens, urls)
            for turn in range(rounds):
                for host, side in takes:
                    takes[host, side].append(bench.take(host, side, escape=turn % 2 == 1))
                    loads.append(os.getloadavg()[0])
            for host in hosts:
                opened += _opening.measure(browser, urls, host, openings)
            waited = ((_waited_for_cpu_s() or 0.0) - (waited_s or 0.0)) / (time.monotonic() - begun)
        opened += _dashboards.measure(browser, Path(folder) / "dashboards", 3 if asked.quick else 7)
        browser.close()
    told = [row for host in hosts for row in rows(host, takes[host, "ours"], takes[host, "peer"])] + opened
    told.append(Row(f"machine: load average on {os.cpu_count()} cores", median(loads), "", spread=spread(loads)))
    if waited_s is not None:
        told.append(Row("machine: time with somebody waiting for a CPU", 100 * waited, "%"))
    finish(told, asked.json)


if __name__ == "__main__":
    main()
