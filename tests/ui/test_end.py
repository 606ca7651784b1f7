"""When the end of what grows is followed, without a browser: the direction of a movement tells, not its distance."""

from __future__ import annotations

import json
import subprocess

from .test_bundle import UI, node

# A box of 100 that holds 1,000, with what browsers do to a place: it lies between the top and the end.
MOVES = """
const { End } = await import(process.argv[1]);
let top = 0;
const box = {
  clientHeight: 100,
  scrollHeight: 1000,
  get scrollTop() { return top; },
  set scrollTop(wanted) { top = Math.max(0, Math.min(wanted, this.scrollHeight - this.clientHeight)); },
};
const end = new End();
end.attach(box);
end.follow();
const told = [];
const tell = (what, act) => {
  act();
  end.look();
  told.push([what, end.followed, end.behind.value]);
};
tell("a burst before the movement is heard", () => { box.scrollHeight += 500; });
end.follow();
tell("a key upwards", () => { box.scrollTop -= 40; });
end.follow();
tell("a finger upwards", () => { box.scrollTop -= 3; });
tell("it grows below", () => { box.scrollHeight += 400; });
tell("back near the end", () => { box.scrollTop = box.scrollHeight - 140; });
tell("what was above is shorter", () => { box.scrollHeight -= 600; box.scrollTop = box.scrollTop; });
tell("to the top", () => { box.scrollTop = 0; });
tell("the page moves by itself", () => end.move(760));
console.log(JSON.stringify(told));
"""


def test_the_end_is_followed_until_a_person_moves() -> None:
    command = [node(), "--input-type=module", "-e", MOVES, (UI / "src" / "end.js").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        ["a burst before the movement is heard", True, False],
        ["a key upwards", False, False],
        ["a finger upwards", False, False],
        ["it grows below", False, True],
        ["back near the end", True, False],
        ["what was above is shorter", True, False],
        ["to the top", False, True],
        ["the page moves by itself", False, True],
    ]
