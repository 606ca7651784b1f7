"""What a runner tells of a run: read from its folder, from where the service said that it had read to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..training_log import Point, merge, overlay, parse
from .run_dir import ENDED, RunDir

# One report's share of the output; what a trainer prints beyond `_BACKLOG` at a time is left out, and said to be.
_CHUNK = 1 << 16
_BACKLOG = 1 << 20
_POINTS = 500


@dataclass
class Follower:
    """Reads what grows in a run folder, and makes reports of it.

    `output_offset` is what the service has of output.log; a new follower (after a restart) begins the trainer's log
    anew, since points are told apart by their step.
    """

    run: RunDir
    output_offset: int = 0
    _log_offset: int = 0
    _log_inode: int = 0
    _last: Point | None = None
    _told: dict[str, Any] = field(default_factory=dict)

    def greeting(self) -> dict[str, Any]:
        """A report without points and output; its answer says from where on output is wanted."""
        return {**self._facts({}), "points": [], "output": None}

    def report(self) -> dict[str, Any] | None:
        """The next report; None where nothing has changed. The end comes with the last point and the last output."""
        end = self.run.read(self.run.exit) or {}
        points, more = self._points()
        output = self._output(ended=bool(end))
        more |= output is not None and output["end"] < self.run.output_log.stat().st_size
        told = self._facts({} if more else end)
        if told == self._told and not points and output is None:
            return None
        self._told = told
        return {**told, "points": [point.to_dict() for point in points], "output": output}

    def forget(self, output_offset: int) -> None:
        """The last report did not arrive, or not all of it: tell it once more, output from `output_offset` on."""
        self._told, self._log_offset, self.output_offset = {}, 0, output_offset

    def _facts(self, end: dict[str, Any]) -> dict[str, Any]:
        attempts = self.run.read(self.run.attempts) or []
        state = end.get("state") or self.run.state()
        if not end and state in ("prepared", *ENDED):  # about to be taken up, or not all of it is told
            state = "running" if attempts else "preparing"
        facts = {
            "round": self.run.read(self.run.job)["order"]["round"],
            "state": state,
            "attempt": len(attempts),
            "started_at": attempts[0]["started_at"] if attempts else None,
            "attempt_started_at": attempts[-1]["started_at"] if attempts else None,
            "from_step": attempts[-1]["from_step"] if attempts else None,
        }
        names = ("reason", "remedy", "error", "code", "signal", "stopped_by", "step", "total_steps", "ended_at")
        return facts | {name: end.get(name) for name in names}

    def _points(self) -> tuple[list[Point], bool]:
        """The steps that are new or told more about, at most `_POINTS` of them; and whether there are more."""
        try:
            inode = self.run.trainer_log.stat().st_ino
        except FileNotFoundError:
            return [], False
        if inode != self._log_inode:
            self._log_inode, self._log_offset, self._last = inode, 0, None
        points: list[Point] = []
        for raw in self._whole_lines():
            if (point := parse(raw.decode("utf-8", errors="replace"))) is not None:
                # An evaluation's line follows the train line of its step, perhaps in another report.
                if self._last is not None and self._last.step == point.step:
                    point = overlay(self._last, point)
                points.append(point)
                self._last = point
            if len(points) == _POINTS:
                break
        return merge(points), len(points) == _POINTS

    def _whole_lines(self) -> Iterator[bytes]:
        with self.run.trainer_log.open("rb") as log:
            log.seek(self._log_offset)
            while (raw := log.readline()).endswith(b"\n"):
                self._log_offset += len(raw)
                yield raw

    def _output(self, ended: bool) -> dict[str, Any] | None:
        try:
            with self.run.output_log.open("rb") as log:
                size = log.seek(0, 2)
                start = self.output_offset
                if size - start > _BACKLOG:
                    start = size - _CHUNK
                log.seek(start)
                raw = log.read(_CHUNK)
        except FileNotFoundError:
            return None
        if not ended or len(raw) == _CHUNK:  # half a line may be half a character
            raw = raw[: raw.rfind(b"\n") + 1] or raw[: _CHUNK * (len(raw) == _CHUNK)]
        if not raw:
            return None
        skipped = (
            f"… {start - self.output_offset:,} bytes are in output.log only …\n" if start > self.output_offset else ""
        )
        self.output_offset = start + len(raw)
        return {"offset": start, "end": self.output_offset, "text": skipped + raw.decode("utf-8", errors="replace")}
