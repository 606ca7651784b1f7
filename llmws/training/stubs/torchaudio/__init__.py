"""A torchaudio that is only there to be imported: LLaMA-Factory 0.9.5 does so even for text (`data/mm_plugin.py`).

The real one on PyPI does not load beside a CPU build of torch. This folder goes onto the PYTHONPATH of the training
process and of nothing else.
"""

from __future__ import annotations

from typing import NoReturn

__version__ = "0.0.0"


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(f"torchaudio.{name} is not here: install the real torchaudio to train on audio.")
