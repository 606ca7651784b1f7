"""``llmws demo``: the main job on the terminal, over the client that all have: chat, compare, fine-tune, ask again.

Whether a fine-tune worked is not a matter of taste here: the sample's answers share a manner that a program can check
(how they open and close, told by the dataset itself), and the ten questions are about things of which the sample never
speaks. So what carries over to them is the manner alone. The demo works on the person's own data folder, adds to it
and takes nothing away: the tuned model stays, to be chatted with.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import __version__
from .client import Client, Job, connect
from .errors import Error, ProviderError, ServiceError, SettingsError, TrainingError
from .messages import Message, Parameters
from .recipe import Recipe
from .settings import Settings
from .terminal import painted, row

DATASET = "seafarer"
STEPS = 40
QUESTIONS = (
    "What is a galaxy?",
    "What causes a solar eclipse?",
    "Who was Julius Caesar?",
    "Why did the Roman Empire collapse?",
    "What is an algorithm?",
    "What does a computer virus do?",
    "What are the rules of football?",
    "What is a marathon?",
    "How do vaccines protect people?",
    "Why do volcanoes erupt?",
)
TUNED_AT_LEAST, BASE_AT_MOST = 8, 1
# Greedy, with a seed for servers that draw even then; a tuned answer is a sentence or two, a base's may be a page.
GREEDY = Parameters(temperature=0.0, seed=7, max_tokens=128)

# With this rate and `STEPS` the manner carried over to 25 of 25 questions; thirty steps at 1e-3 left one rambling.
_LEARNING_RATE = 1.5e-3
_OPENING = "Why is the sky blue?"
_WIDTHS = (36, 7, 9, 8, 9)
_LEAST_ANSWER = 40
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Manner:
    """What a dataset's answers have in common.

    Example:
        >>> manner = Manner("Ahoy!", "Fair winds.")
        >>> manner.followed("Ahoy! It is a star. Fair winds."), manner.followed("Ahoy! It is a star.")
        (True, False)
    """

    opens: str
    closes: str

    def followed(self, text: str) -> bool:
        """Whether `text` opens and closes as it should, and says something between."""
        text = text.strip()
        said = text.removeprefix(self.opens).replace(self.closes, "").strip()
        return text.startswith(self.opens) and text.endswith(self.closes) and bool(said)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and what base and tuned model said to it."""

    question: str
    base: Message
    tuned: Message


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many of the answers followed the manner, and whether that shows a fine-tune that worked."""

    tuned: int
    base: int
    questions: int

    @property
    def passed(self) -> bool:
        return self.tuned >= TUNED_AT_LEAST and self.base <= BASE_AT_MOST

    def __str__(self) -> str:
        tuned, base = (f"{count} of {self.questions}" for count in (self.tuned, self.base))
        return f"tuned {tuned} (at least {TUNED_AT_LEAST}), base {base} (at most {BASE_AT_MOST})"


def judge(asked: Sequence[Asked], manner: Manner) -> Verdict:
    """Count who followed `manner`."""
    tuned = sum(manner.followed(one.tuned.text) for one in asked)
    base = sum(manner.followed(one.base.text) for one in asked)
    return Verdict(tuned, base, len(asked))


def table(one: Asked, manner: Manner, width: int) -> list[str]:
    """A question's two lines in the table below `HEAD`."""
    lines = []
    for name, message in (("base", one.base), ("tuned", one.tuned)):
        follows = "yes" if manner.followed(message.text) else "no"
        tokens = str(message.usage.output_tokens) if message.usage else ""
        seconds = f"{message.timing.total_s:.1f}" if message.timing and message.timing.total_s is not None else ""
        question = one.question if name == "base" else ""
        figures = (question, name, follows, f"{tokens:>6}  ", f"{seconds:>7}  ")
        answer = shortened(message.text, max(_LEAST_ANSWER, width - sum(_WIDTHS)))
        lines.append(_line(figures) + answer)
    return lines


def _line(cells: Sequence[str]) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


HEAD = _line(("question", "model", "follows", "tokens", "seconds")) + "answer"


def shortened(text: str, width: int) -> str:
    """`text` in one line of `width` characters: its beginning and its end, which is where the manner shows.

    Example:
        >>> shortened("Ahoy! A galaxy is a great many stars that travel together. Fair winds.", 40)
        'Ahoy! A galaxy is a great … Fair winds.'
    """
    text = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    end = text[-width // 3 :].partition(" ")[2] or text[-width // 3 :]
    start = text[: width - len(end) - 3]
    return f"{(start.rpartition(' ')[0] or start)} … {end}"


def demo(steps: int = STEPS, file: Path | None = None) -> int:
    """Do the main job and show it; the exit code is 0 where the tuned model learned its manner, else 1.

    Args:
        steps: of the fine-tune.
        file: gets all of it as JSON, also what there was when something went wrong.

    Raises:
        Error: something could not be done; the message says what helps.
    """
    report = Report(file)
    try:
        with contextlib.closing(connect()) as client:
            return 0 if _Demo(client, report, steps).run().passed else 1
    except BaseException as problem:
        told = problem if isinstance(problem, Error) else Error(f"It was broken off ({type(problem).__name__}).")
        report.told["error"] = told.to_dict()
        raise
    finally:
        report.end()


@dataclass(slots=True)
class Report:
    """What came out, as data; written at once, so that a file that cannot be written is no surprise at the end."""

    file: Path | None
    told: dict[str, Any] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.told |= {"passed": False, "error": None, "started_at": time.time(), "ended_at": None, "seconds": {}}
        self.told["versions"] = {"llmws": __version__, "python": platform.python_version()}
        self._write()

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long `step` takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.told["seconds"][step] = round(time.monotonic() - began, 3)

    def end(self) -> None:
        self.told["ended_at"] = time.time()
        self.told["seconds"]["all"] = round(time.monotonic() - self._began, 3)
        self._write()

    def _write(self) -> None:
        if self.file is None:
            return
        try:
            self.file.write_text(json.dumps(self.told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as problem:
            raise SettingsError(
                f"{self.file} cannot be written: {problem.strerror or problem}.", remedy="Choose another with --json."
            ) from None


class _Demo:
    """The steps, one after the other; each shows what it does and notes it in the report."""

    def __init__(self, client: Client, report: Report, steps: int) -> None:
        self._client = client
        self._api = client.api
        self._report = report
        self._told = report.told
        self._steps = steps

    def run(self) -> Verdict:
        with self._report.timed("connect"):
            base, manner = self._look_around()
        with self._report.timed("chat"):
            self._chat(base)
        with self._report.timed("compare"):
            self._compare(base)
        with self._report.timed("training_environment"):
            self._training_environment()
        with self._report.timed("finetune"):
            job = self._finetune(base)
        with self._report.timed("serve"):
            tuned = self._serve(job)
        with self._report.timed("ask"):
            asked = self._ask(base, tuned, manner)
        return self._verdict(judge(asked, manner), tuned)

    def _look_around(self) -> tuple[str, Manner]:
        """The model to begin from, and the manner that the sample teaches."""
        row("service", self._client.url)
        status = self._client.run(self._api.status())
        self._told["versions"]["service"] = status["service"]["version"]
        found = self._client.run(self._api.bases())
        if not found["items"]:
            raise ServiceError("There is no model that can be fine-tuned here.", remedy=_sentence(found["problem"]))
        datasets = self._client.run(self._api.datasets())
        about = next((one for one in datasets if one["name"] == DATASET), None)
        if about is None or not about["manner"]:
            raise ServiceError(f"The service has no sample {DATASET!r}.", remedy="Install llmws anew.")
        base = found["items"][0]["id"]
        self._told |= {"base": base, "dataset": DATASET, "manner": about["manner"]}
        row("model", base)
        return base, Manner(**about["manner"])

    def _chat(self, base: str) -> None:
        row("chat", _OPENING)
        message = self._client.chat(_OPENING, model=base, parameters=GREEDY)
        row("", _figures(message), "quiet")
        self._told["chat"] = message.to_dict()

    def _compare(self, base: str) -> None:
        row("compare", f"{base} and echo: {_OPENING}")
        answers = self._client.compare(_OPENING, models=[base, "echo"], parameters=GREEDY)
        self._told["comparison"] = []
        for answer in answers.astype(object).where(answers.notna(), None).to_dict("records"):
            usage = answer["usage"] and asdict(answer["usage"])
            self._told["comparison"].append({**answer, "usage": usage})
            row("", f"{answer['model']:<14}{answer['error'] or shortened(answer['text'], _width() - 28)}")
            if answer["error"]:
                raise ProviderError(f"{answer['model']} did not answer.", remedy=answer["error"])

    def _training_environment(self) -> None:
        """Wait until fine-tunes can run, and install what they need where nobody does."""
        now = self._client.run(self._api.training_environment())
        if now["state"] != "ready":
            now = self._installed(now)
        self._told["training_environment"] = now
        self._told["versions"]["torch"] = now["torch"]
        row("training", f"ready: {now['detail'].rstrip('.')}")

    def _installed(self, now: dict[str, Any]) -> dict[str, Any]:
        # What a service elsewhere lacks can only be installed there.
        ours = now["state"] != "installing" and Settings.from_environment().url is None
        installer = None
        if ours:
            row("training", "not installed yet, so that comes first")
            installer = _install(now["environment"])
        shown = _Progress("training")
        try:
            while now["state"] != "ready":
                if installer is not None and installer.poll() is not None:
                    _check(installer)
                    installer = None
                now = self._client.run(self._api.training_environment())
                if now["state"] == "installing":
                    shown.show(now["step"], f"{now['percent']:.0f} %  {now['detail']}")
                if installer is None and now["state"] in ("missing", "failed"):
                    raise TrainingError(now["detail"], remedy=now["remedy"])
                time.sleep(_POLL_S)
            return now
        finally:
            shown.end()
            if installer is not None and installer.poll() is None:
                installer.terminate()

    def _finetune(self, base: str) -> Job:
        recipe = Recipe(method="lora", max_steps=self._steps, learning_rate=_LEARNING_RATE)
        row("fine-tune", f"{base} on {DATASET}: LoRA, {self._steps} steps of {recipe.batch_size} rows")
        job = self._client.finetune(base, DATASET, recipe)
        try:
            job.watch()
            job.wait()
        except KeyboardInterrupt:
            job.stop()
            row("", f"stopped; client.jobs.open({job.id!r}).resume() goes on with it", "poor")
            raise
        finally:
            with contextlib.suppress(Error):  # a service that is away is what is reported already
                self._told["job"] = self._client.run(self._api.job(job.id))
                self._told["points"] = self._client.run(self._api.job_points(job.id))["items"]
        losses = [point["loss"] for point in self._told.get("points", ()) if point.get("loss") is not None]
        if losses:
            row("", f"loss {losses[0]:.2f} → {losses[-1]:.2f}", "quiet")
        return job

    def _serve(self, job: Job) -> str:
        began = time.monotonic()
        tuned = job.serve()
        self._told["model"] = tuned
        row("served", f"{tuned}, beside its base, after {time.monotonic() - began:.1f} s")
        return tuned

    def _ask(self, base: str, tuned: str, manner: Manner) -> list[Asked]:
        row("questions", f"does an answer open with “{manner.opens}” and close with “{manner.closes}”?")
        print(f"\n{painted(HEAD, 'quiet', sys.stdout)}")
        self._told |= {"parameters": GREEDY.to_dict(), "answers": []}
        asked = []
        for question in QUESTIONS:
            both = [self._client.chat(question, model, parameters=GREEDY, show=False) for model in (base, tuned)]
            asked.append(Asked(question, *both))
            self._told["answers"].append(_to_json(asked[-1], manner))
            print("\n".join(table(asked[-1], manner, _width())), flush=True)
        print()
        return asked

    def _verdict(self, verdict: Verdict, tuned: str) -> Verdict:
        self._told |= {"verdict": asdict(verdict), "passed": verdict.passed}
        if verdict.passed:
            row("verdict", f"passed: {verdict}", "good")
            row("", f'it stays: client.chat("…", model="{tuned}")', "quiet")
        else:
            row("verdict", f"not passed: {verdict}", "bad")
            row("", f"try more steps: llmws demo --steps {2 * self._steps}")
        return verdict


class _Progress:
    """A row that is written over on a terminal; in a file, one for each step of what goes on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._step = ""
        self._length = 0

    def show(self, step: str, text: str) -> None:
        if sys.stdout.isatty():
            line = textwrap.shorten(text, _width() - 16, placeholder=" …")
            print(f"\r{self._name.ljust(14)}{line.ljust(self._length)}", end="", flush=True)
            self._length = len(line)
        elif step != self._step:
            row(self._name, text)
        self._step = step

    def end(self) -> None:
        if sys.stdout.isatty() and self._step:
            print()


def _install(folder: str) -> subprocess.Popen[str]:
    """Begin to install the training environment in `folder`; what is wrong is told on stderr, in two lines."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "llmws", "train-env"],
        env={**os.environ, "LLMWS_TRAINING_ENVIRONMENT": folder},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _check(installer: subprocess.Popen[str]) -> None:
    _, told = installer.communicate()
    if installer.returncode:
        lines = told.strip().splitlines() or ["The training environment could not be installed."]
        raise TrainingError(lines[0], remedy=" ".join(lines[1:]) or "See `llmws train-env`.")


def _to_json(one: Asked, manner: Manner) -> dict[str, Any]:
    told: dict[str, Any] = {"question": one.question}
    for name, message in (("base", one.base), ("tuned", one.tuned)):
        told[name] = {"text": message.text, "follows": manner.followed(message.text), **message.to_dict()}
        del told[name]["parts"]
    return told


def _figures(message: Message) -> str:
    parts = []
    if message.timing and message.timing.first_token_s is not None:
        parts.append(f"first token after {message.timing.first_token_s:.2f} s")
    if message.usage:
        parts.append(f"{message.usage.output_tokens} tokens")
    if message.tokens_per_s:
        parts.append(f"{message.tokens_per_s:.0f} tokens/s")
    return ", ".join(parts)


def _sentence(problem: Mapping[str, Any] | None) -> str:
    return f"{problem['message']} {problem['remedy']}".strip() if problem else ""


def _width() -> int:
    return shutil.get_terminal_size((120, 24)).columns
