"""Voilà's front end as one script: all that the page would ask for, and nothing that it need not run."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from voila.paths import collect_static_paths

from llmws.hub import front_end
from tests.ui.test_bundle import node


def test_what_the_entry_names_stands_in_front_of_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    (second / "voila.js").write_text("Promise.all([r.e(20),r.e(3),r.e(20),r.e(400)])")
    for number in (3, 20, 5):
        (second / f"{number}.voila.js").write_text(f"push({number})")
    # 400 is no file: webpack numbers what pages share, too. 5 is asked for later, if at all.
    assert front_end.in_one([str(first), str(second)]).splitlines() == ["push(20)", "push(3)", *_entry(second)]
    assert front_end.in_one([str(first)]) == ""


def test_voila_that_is_installed_is_in_it_whole_but_for_mathjax_and_when_widgets_are_drawn() -> None:
    folders = [Path(folder) for folder in collect_static_paths(["voila", "nbconvert"], "lab")]
    folder = next(folder for folder in folders if (folder / "voila.js").is_file())
    text = front_end.in_one(map(str, folders))
    files = [folder / f"{number}.voila.js" for number in re.findall(r"\.e\((\d+)\)", (folder / "voila.js").read_text())]
    pieces = {file: file.read_text() for file in files if file.is_file()}
    assert len(pieces) > 50
    changed = [file for file, piece in pieces.items() if piece not in text]
    assert len(changed) == 1, "Voilà loads MathJax and draws widgets in another place now"
    piece = pieces[changed[0]]
    assert (piece.count(front_end._LOAD_MATHJAX), piece.count(front_end._DRAW)) == (1, 1)
    mended = piece.replace(front_end._LOAD_MATHJAX, "").replace(front_end._DRAW, front_end._DRAW_ONCE_READ)
    assert mended in text
    # A formula in text or in an output is still typeset.
    assert piece.count("typeset(") == 2
    assert text.endswith((folder / "voila.js").read_text())


def test_a_widget_is_drawn_once_the_kernels_are_read_and_other_output_at_once() -> None:
    scene = """
    const drawn = [], i = {};
    let read;
    const settled = () => new Promise(setImmediate);
    const manager = { restoredStatus: false, restored: { connect: (listen) => { read = listen; } } };
    const draw = async (name, _manager) => {
      const s = { _manager, renderModel: async () => drawn.push(name) };
      DRAW(problem) => { throw problem; });
      await settled();
    };
    await draw("text");
    await draw("widget", { promise: Promise.resolve(manager) });
    const before = [...drawn];
    manager.restoredStatus = true;
    read();
    await settled();
    await draw("later", { promise: Promise.resolve(manager) });
    console.log(JSON.stringify({ before, drawn }));
    """.replace("DRAW", front_end._DRAW_ONCE_READ)
    command = [node(), "--input-type=module", "-e", scene]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert told == {"before": ["text"], "drawn": ["text", "widget", "later"]}


def _entry(folder: Path) -> list[str]:
    return (folder / "voila.js").read_text().splitlines()
