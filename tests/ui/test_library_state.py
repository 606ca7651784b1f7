"""What the list of conversations knows by itself, without a browser."""

from __future__ import annotations

import json
import subprocess

from .test_bundle import UI, node

LIST = """
const kept = new Map();
globalThis.localStorage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, told) => kept.set(name, told) };
const { Library } = await import(process.argv[1]);
const asked = [];
const page = { attempt: async (intent, values) => asked.push(values.folder), open: { value: null } };
const before = new Library(page);
for (const name of ["Seas", "Moons, and more", "Closed again"]) before.toggleFolder(name);
before.toggleFolder("Closed again");
const after = new Library(page);
asked.length = 0;
after.refresh({ items: [], next_cursor: null, tags: [], folders: [{ name: "Moons, and more" }, { name: "Other" }] });
console.log(JSON.stringify([[...after.opened.value.keys()], asked]));
"""


def test_folders_that_were_open_are_open_the_next_time() -> None:
    command = [node(), "--input-type=module", "-e", LIST, (UI / "src" / "library.js").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    opened, asked = json.loads(done.stdout)
    assert opened == ["Seas", "Moons, and more"]
    # One that is no more is not asked for.
    assert asked == ["Moons, and more"]
