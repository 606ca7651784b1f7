"""What servers of the OpenAI chat completions wire do differently, and single models of theirs: rows of data."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

Effort = Literal["field", "thinking", "switch", "enable_thinking", "chat_template_kwargs", "reasoning", "unsupported"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What some models of a server do differently from its others.

    Args:
        models: patterns of their ids.
        reasoning_effort: see `Quirks`; empty where they are as the others.
        efforts: the words that they know for it, from little to much. Another is given as the nearest.
        always_reasons: that cannot be switched off.
        refuses: parameters that they refuse: ``temperature``, ``top_p``, ``seed``, ``stop``.
    """

    models: tuple[str, ...] = ("*",)
    reasoning_effort: Literal[
        "", "field", "thinking", "switch", "enable_thinking", "chat_template_kwargs", "reasoning", "unsupported"
    ] = ""
    efforts: tuple[str, ...] = ("low", "medium", "high")
    always_reasons: bool = False
    refuses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quirks:
    """What a server does differently.

    Args:
        include_usage: it understands ``stream_options``; who does not, counts without being asked.
        max_tokens: its name for the limit of an answer.
        reasoning_effort: how it is told to think: by the field of that name; by ``thinking`` beside it (DeepSeek) or
            alone, which only switches (GLM); by ``enable_thinking`` and a budget (Qwen); by ``chat_template_kwargs``
            beside the field (open weights); by ``reasoning`` (OpenRouter); or not at all.
        replay_reasoning: what goes back of what it reasoned: nothing; the text of the turns that called tools
            (DeepSeek); the signed ``reasoning_details`` (OpenRouter); the ``extra_content`` of its calls (Gemini).
        opens_in_reasoning: patterns of model ids whose stream begins inside the reasoning (see `reasoning`).
        tool_choices: the choices that it knows: ``auto``, ``none``, ``required``, and ``name`` for that of one tool.
        tool_stream: it streams the arguments of calls only where ``tool_stream`` asks for it (GLM); else a long one is
            minutes of silence.
        json_schema: it can be held to a schema (``schema``), only to JSON (``object``), or to nothing (``no``).
        answers_at_once: it answers without streaming, too, whatever the model.
        highest_temperature: more is refused.
        refuses: see `Dialect`.
        dialects: of its models, of which the first that fits counts.
    """

    include_usage: bool = True
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    reasoning_effort: Effort = "field"
    replay_reasoning: Literal["never", "tool_calls", "details", "extra_content"] = "never"
    opens_in_reasoning: tuple[str, ...] = ()
    tool_choices: tuple[str, ...] = ("auto", "none", "required", "name")
    tool_stream: bool = False
    json_schema: Literal["schema", "object", "no"] = "schema"
    answers_at_once: bool = True
    highest_temperature: float = 2.0
    refuses: tuple[str, ...] = ()
    dialects: tuple[Dialect, ...] = ()

    def of(self, model: str) -> Dialect:
        """The dialect of a model."""
        return next((dialect for dialect in self.dialects if matches(model, dialect.models)), Dialect())


def matches(model: str, patterns: tuple[str, ...]) -> bool:
    """Whether the id of a model fits one of `patterns`, whatever its case.

    Example:
        >>> matches("deepseek-ai/DeepSeek-R1", ("*deepseek-r1*",))
        True
    """
    return any(fnmatch(model.lower(), pattern) for pattern in patterns)
