"""The naive way to show three answers: widgets rewritten every 50 ms with all of the text, rendered in the kernel.

It reads the model server directly, and has no service, no store and no metering to pass.
"""

PEER = "ipywidgets.HTML, 50 ms"

CELL = """
import asyncio, json, time
import httpx, ipywidgets, mistune

columns = {name: ipywidgets.HTML(layout={"width": "33%", "height": "500px"}) for name in ("one", "two", "three")}
for column in columns.values():
    column.add_class("bench-column")
start, stop = ipywidgets.Button(description="Start"), ipywidgets.Button(description="Stop")
tasks = []

async def answer(name, column):
    text, due = "", 0.0
    column.add_class("bench-running")
    try:
        async with httpx.AsyncClient(timeout=None) as client:
            body = {"model": name, "stream": True, "messages": [{"role": "user", "content": "Speak."}]}
            async with client.stream("POST", "ADDRESS/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        text += json.loads(line[6:])["choices"][0]["delta"].get("content", "")
                    if time.monotonic() >= due:
                        column.value = mistune.html(text)
                        due = time.monotonic() + 0.05
    finally:
        column.value = mistune.html(text)
        column.remove_class("bench-running")

start.on_click(lambda _: tasks.extend(asyncio.ensure_future(answer(*item)) for item in columns.items()))
stop.on_click(lambda _: [task.cancel() for task in tasks])
ipywidgets.VBox([ipywidgets.HBox([start, stop]), ipywidgets.HBox(list(columns.values()))])
"""
