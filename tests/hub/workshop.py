"""A place to fine-tune in for a hub: all is real but trainer and conversions, and every account can read it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.service.workshop import CONVERTER
from tests.serving.gguf_files import write_adapter
from tests.training.conftest import STAND_IN


def workshop(folder: Path, python: Path) -> dict[str, str]:
    """The settings of a hub whose people train with a scripted trainer; the embedded model is served."""
    environment = folder / "training"
    (environment / "bin").mkdir(parents=True)
    trainer = Path(shutil.copy(STAND_IN, folder))
    converter = environment / "bin" / "python"
    converter.write_text(CONVERTER.format(python=python, adapter=str(write_adapter(folder / "adapter.gguf"))))
    converter.chmod(0o755)
    return {
        "LLMWS_TRAINING_ENVIRONMENT": str(environment),
        "LLMWS_TRAINING_COMMAND": f"'{python}' '{trainer}'",
    }
