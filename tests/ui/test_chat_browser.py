"""What a person does on the chat page, in a real Chromium, in JupyterLab and in Voilà.

Every test also checks that no request left this machine.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from llmws.messages import Parameters

from .conftest import LIMIT_MS, START_LIMIT_S, Workspace, elsewhere

# More than anybody waits for, so that whatever a test does happens in the middle of it.
ENDLESS = {"delay_s": 0.05, "tokens": [f"w{number} " for number in range(5000)], "reasoning": "I only count. " * 4}


class ChatPage:
    """The page as a person meets it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.composer = page.get_by_role("textbox", name=re.compile("^(Message|消息)$"))
        self.answers = page.locator(".lw-answer")
        self.asked = page.locator(".lw-asked")
        self.entries = page.locator(".lw-entry")
        self.title = page.locator(".lw-head h2")

    def ready(self) -> ChatPage:
        expect(self.composer).to_be_visible()
        expect(self.page.locator(".lw-skeleton, .lw-skeleton-list")).to_have_count(0)
        return self

    def choose(self, model: str) -> None:
        self.page.get_by_role("button", name=re.compile("^(Model|模型): ")).click()
        # Its id follows its name; an assistant's entry names its model as well.
        self.page.get_by_role("option", name=re.compile(f"^{re.escape(model)} ")).click()

    def ask(self, text: str) -> None:
        self.composer.fill(text)
        expect(self.page.get_by_role("button", name=re.compile("^(Send|发送)$"))).to_be_enabled()
        self.composer.press("Enter")

    def open(self, title: str) -> None:
        """Find a conversation and open it; one made elsewhere a moment ago is not in the list yet."""
        self.page.get_by_role("searchbox").fill(title)
        self.entries.locator(".lw-entry-open", has_text=title).click()
        expect(self.title).to_have_text(title)

    def act(self, entry: Locator, what: str) -> None:
        """Choose from the menu of an entry of the list."""
        entry.hover()
        entry.get_by_role("button", name=re.compile("^Menu of|的菜单$")).click()
        self.page.get_by_role("menuitem", name=what).click()

    def finished(self, count: int = 1) -> None:
        """Wait until so many answers have their figures, and none is under way."""
        expect(self.page.locator(".lw-figures")).to_have_count(count)
        expect(self.page.locator(".lw-answer[data-running=true]")).to_have_count(0)

    def text(self, index: int = -1) -> str:
        return " ".join(self.answers.nth(index).locator(".lw-markdown").inner_text().split())


Open = Callable[..., ChatPage]


@pytest.fixture
def in_voila(open_notebook: Callable[..., Page]) -> Open:
    return lambda query="", **options: ChatPage(open_notebook("voila", "chat", query, **options)).ready()


@pytest.fixture
def in_lab(open_notebook: Callable[..., Page]) -> Open:
    return lambda **options: ChatPage(open_notebook("lab", "chat", **options)).ready()


@pytest.fixture(params=[pytest.param("lab", marks=pytest.mark.long), "voila"])
def chat(request: pytest.FixtureRequest) -> ChatPage:
    """The page, fresh, in one host and in the other."""
    return request.getfixturevalue(f"in_{request.param}")()


@pytest.fixture(scope="module")
def one_page(chromium: Browser, voila: str) -> Iterator[ChatPage]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(LIMIT_MS)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(f"{voila}/voila/render/chat.ipynb")
    yield ChatPage(page).ready()
    context.close()
    assert asked
    assert elsewhere(asked) == []
    # Voilà's front end came as one script.
    assert [url for url in asked if re.search(r"/static/\d+\.voila\.js", url)] == []


@pytest.fixture
def dashboard(one_page: ChatPage) -> ChatPage:
    """The page in Voilà with a new conversation, shared by the tests that need no other: kernels start slowly."""
    one_page.page.get_by_role("searchbox").fill("")
    one_page.composer.press("Control+Shift+O")
    expect(one_page.title).to_have_text("New conversation")
    return one_page


@pytest.fixture
def prepared(workspace: Workspace) -> Callable[..., str]:
    """Makes a chat with the echo, whose behaviour is scripted; gives its title, which no other has."""

    def prepare(title: str, **script: Any) -> str:
        title = f"{title} {uuid.uuid4().hex[:6]}"
        client = workspace.client()
        client.loop.run(client.api.create_chat("echo", title=title, parameters=Parameters(extra=script)))
        return title

    return prepare


@pytest.fixture
def stored(workspace: Workspace) -> Callable[[str], str]:
    """What the service kept of the last answer in the chat of this title."""

    def read(title: str) -> str:
        client = workspace.client()
        chat = client.loop.run(client.api.chats(query=title))["items"][0]
        return client.loop.run(client.api.messages(chat["id"]))["items"][-1]["message"].text.strip()

    return read


def test_a_question_is_answered(chat: ChatPage) -> None:
    chat.choose("Echo")
    chat.ask("Is there an echo?")
    chat.finished()
    assert chat.text() == "Is there an echo?"
    expect(chat.title).to_have_text("Is there an echo?")
    expect(chat.entries.first).to_contain_text("Is there an echo?")
    figures = chat.page.locator(".lw-figures").inner_text().replace("\n", " ")
    assert re.search(r"echo.*4 tokens.*to first token.*tokens/s.*\$0$", figures)


def test_the_model_that_comes_along_answers(in_voila: Open, workspace: Workspace) -> None:
    client = workspace.client()
    chat = in_voila()
    model = next(model for model in client.loop.run(client.api.models()) if "smollm2" in model["id"])
    chat.choose(model["name"])
    # Its name says "starting" until it is ready, without a reload.
    chat.ask("Name the colour of the sky in one word.")
    chat.finished()
    assert chat.text()


def test_stop_keeps_what_was_said(chat: ChatPage, prepared: Callable[..., str], stored: Callable[[str], str]) -> None:
    title = prepared("To be stopped", **ENDLESS)
    chat.open(title)
    chat.ask("Go on")
    expect(chat.answers.first).to_contain_text("w5 ")
    chat.page.keyboard.press("Escape")
    expect(chat.answers.first).to_contain_text("Stopped.")
    chat.finished()
    assert chat.text() == stored(title)


def _goes_on_and_is_stopped(chat: ChatPage, stored: Callable[[str], str], title: str) -> None:
    """Wait until more is said than now; after a stop the page shows all that the service kept."""
    expect(chat.title).to_have_text(title)
    expect(chat.page.locator(".lw-answer[data-running=true]")).to_have_count(1)
    now = int(chat.text().rpartition("w")[2] or 0)
    expect(chat.answers.first).to_contain_text(f"w{now + 20} ")
    chat.composer.press("Escape")
    chat.finished()
    assert chat.text() == stored(title)


def test_a_dashboard_reloaded_in_the_middle_shows_the_whole_answer(
    in_voila: Open, prepared: Callable[..., str], stored: Callable[[str], str]
) -> None:
    title = prepared("Reloaded in Voilà", **ENDLESS)
    chat = in_voila()
    chat.open(title)
    chat.ask("Go on")
    expect(chat.answers.first).to_contain_text("w3 ")
    chat.composer.fill("And what was begun")
    chat.page.reload()
    expect(chat.ready().composer).to_have_value("And what was begun")
    _goes_on_and_is_stopped(chat, stored, title)


@pytest.mark.long
def test_a_notebook_reloaded_in_the_middle_shows_the_whole_answer(
    in_lab: Open, prepared: Callable[..., str], stored: Callable[[str], str]
) -> None:
    title = prepared("Reloaded in Lab", **ENDLESS)
    chat = in_lab()
    chat.open(title)
    chat.ask("Go on")
    expect(chat.answers.first).to_contain_text("w3 ")
    chat.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    chat.page.reload()
    _goes_on_and_is_stopped(chat.ready(), stored, title)


@pytest.mark.long
def test_a_second_tab_sees_the_same_stream(
    in_voila: Open, prepared: Callable[..., str], stored: Callable[[str], str]
) -> None:
    title = prepared("Seen twice", **ENDLESS)
    first = in_voila()
    first.open(title)
    first.ask("Go on")
    expect(first.answers.first).to_contain_text("w3 ")
    second = in_voila()
    second.open(title)
    _goes_on_and_is_stopped(second, stored, title)
    first.finished()
    assert first.text() == second.text()


@dataclass
class Line:
    """The websocket of a page, which loses what is sent while it is down, as when a proxy is restarted."""

    down: str = ""
    lost: int = 0

    def connect(self, browser: WebSocketRoute) -> None:
        server = browser.connect_to_server()

        def forward(side: str, to: WebSocketRoute) -> Callable[[str | bytes], None]:
            def pass_on(message: str | bytes) -> None:
                if self.down == side:
                    self.lost += 1
                else:
                    to.send(message)

            return pass_on

        browser.on_message(forward("questions", server))
        server.on_message(forward("answers", browser))


@pytest.mark.long
def test_what_is_lost_on_the_way_is_asked_for_again(
    new_page: Callable[..., Page], voila: str, workspace: Workspace, prepared: Callable[..., str]
) -> None:
    title, line, page, client = prepared("Lost"), Line(), new_page(), workspace.client()
    kept = client.chats.open(client.chats.list(query=title).id[0])
    page.route_web_socket(re.compile("/channels"), line.connect)
    page.goto(f"{voila}/voila/render/chat.ipynb")
    chat = ChatPage(page).ready()
    chat.open(title)

    chat.composer.fill("Shown")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    line.down = "answers"
    chat.ask("Answered to nobody")
    deadline = time.monotonic() + START_LIMIT_S
    while not any(message.finish_reason for message in kept.messages()):
        assert time.monotonic() < deadline
        # Playwright forwards nothing while it is not asked for anything.
        page.evaluate("1")
    line.down = ""
    expect(chat.answers).to_contain_text(["Answered to nobody"])
    expect(chat.asked).to_have_count(1)

    line.down, line.lost = "questions", 0
    chat.ask("Asked of nobody")
    while not line.lost:
        assert time.monotonic() < deadline
        page.evaluate("1")
    line.down = ""
    expect(chat.answers).to_contain_text(["Answered to nobody", "Asked of nobody"])
    expect(chat.asked).to_have_count(2)
    assert len(kept.messages()) == 4


@pytest.mark.long
def test_who_asks_before_the_page_is_ready_is_not_overheard(new_page: Callable[..., Page], voila: str) -> None:
    held: list[Callable[[], None]] | None = []

    def connect(browser: WebSocketRoute) -> None:
        server = browser.connect_to_server()

        def forward(message: str | bytes) -> None:
            content = message if isinstance(message, bytes) else message.encode()
            if held is not None and b'"intent":' in content:
                held.append(lambda: server.send(message))
            else:
                server.send(message)

        browser.on_message(forward)

    page = new_page()
    page.add_init_script("localStorage.setItem('llmws.model', 'echo')")
    page.route_web_socket(re.compile("/channels"), connect)
    page.goto(f"{voila}/voila/render/chat.ipynb")
    chat, waits = ChatPage(page), page.get_by_role("button", name="Sent as soon as it can be.")
    chat.composer.fill("Something else")
    chat.composer.press("Enter")
    expect(waits).to_be_visible()
    chat.composer.fill("Is there an answer?")
    expect(waits).to_have_count(0)
    chat.composer.press("Enter")
    expect(waits).to_be_visible()
    late, held = held, None
    for send in late:
        send()
    expect(chat.asked).to_have_text(["Is there an answer?"])
    expect(chat.answers).to_contain_text(["Is there an answer?"])


def test_reasoning_is_open_while_it_lasts_and_folds_with_its_duration(
    dashboard: ChatPage, prepared: Callable[..., str]
) -> None:
    title = prepared("Thought about", delay_s=0.05, reasoning="First this, then that, and so on. " * 5)
    chat = dashboard
    chat.open(title)
    chat.ask("Well?")
    panel = chat.page.locator(".lw-reasoning")
    expect(panel).to_have_attribute("open", "")
    expect(panel).to_contain_text("First this")
    chat.finished()
    expect(panel).not_to_have_attribute("open", "")
    expect(panel.locator("summary")).to_contain_text(re.compile(r"Thought for [\d.]+ s"))
    panel.locator("summary").click()
    expect(panel.locator(".lw-reasoning-text")).to_be_visible()


@pytest.mark.long
def test_a_conversation_is_renamed_deleted_and_brought_back(dashboard: ChatPage, prepared: Callable[..., str]) -> None:
    title = prepared("A first title")
    chat = dashboard
    chat.open(title)
    chat.entries.get_by_role("button", name=title, exact=True).press("F2")
    chat.page.get_by_label("Title").fill("A better title")
    chat.page.keyboard.press("Enter")
    expect(chat.title).to_have_text("A better title")
    expect(chat.page.locator(".lw-entry-open:focus")).to_have_attribute("aria-label", "A better title")
    entry = chat.entries.filter(has_text="A better title")
    chat.act(entry, "Delete")
    expect(entry).to_have_count(0)
    expect(chat.page.get_by_text("What are you working on?")).to_be_visible()
    chat.page.get_by_role("button", name="Undo").click()
    expect(entry).to_have_count(1)
    chat.page.reload()
    expect(chat.ready().entries.filter(has_text="A better title")).to_have_count(1)


def test_what_went_wrong_stands_in_the_answer_with_a_way_on(dashboard: ChatPage, prepared: Callable[..., str]) -> None:
    title = prepared("To fail", fail_after=2)
    chat = dashboard
    chat.open(title)
    chat.ask("one two three four")
    failure = chat.page.get_by_role("alert")
    expect(failure).to_contain_text("Echo failed")
    assert chat.text() == "one two"
    failure.get_by_role("button", name="Retry").click()
    # In the place of the one that failed, which stays as another version.
    expect(chat.answers.first.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    expect(failure).to_have_count(1)
    expect(chat.asked).to_have_count(1)


def test_a_chat_is_downloaded_through_the_door(chat: ChatPage) -> None:
    chat.choose("Echo")
    chat.ask("Keep this **text**")
    chat.finished()
    chat.page.get_by_role("button", name="Conversation menu").click()
    chat.page.get_by_role("menuitem", name="Export").click()
    with chat.page.expect_download() as download:
        chat.page.get_by_role("button", name="Markdown").click()
    assert download.value.suggested_filename.endswith(".md")
    assert "Keep this **text**" in download.value.path().read_text()


def test_text_is_copied_out_of_a_dialog_where_there_is_no_clipboard(dashboard: ChatPage) -> None:
    """A page that came over plain http has no clipboard interface."""
    page = dashboard.page
    page.evaluate("""() => {
        Object.defineProperty(navigator, "clipboard", { value: undefined, configurable: true });
        document.addEventListener("copy", () => { window.copied = document.activeElement.value; });
    }""")
    page.get_by_role("button", name="Conversation menu").click()
    page.get_by_role("menuitem", name="Show as code").click()
    copy = page.get_by_role("dialog").get_by_role("button", name="Copy")
    copy.click()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Copied")
    assert page.evaluate("window.copied").startswith("import llmws")
    expect(copy).to_be_focused()
    page.keyboard.press("Escape")
    page.evaluate("delete navigator.clipboard")


def test_what_is_written_from_right_to_left_stands_at_the_right(
    dashboard: ChatPage, prepared: Callable[..., str]
) -> None:
    title = prepared("Hebrew", tokens=["\u05e9\u05dc\u05d5\u05dd, world!\n\n`x = 1`"])
    dashboard.open(title)
    dashboard.ask("\u05e9\u05dc\u05d5\u05dd!")
    dashboard.finished()
    # How far each paragraph's words are from its right edge.
    gaps = dashboard.page.locator(".lw-markdown p").evaluate_all("""all => all.map((one) => {
        const words = document.createRange();
        words.selectNodeContents(one);
        return one.getBoundingClientRect().right - words.getBoundingClientRect().right;
    })""")
    assert gaps[0] < 1 < gaps[1]


def test_parameters_and_system_prompt_are_kept(
    dashboard: ChatPage, prepared: Callable[..., str], workspace: Workspace
) -> None:
    title = prepared("Settings of its own")
    chat = dashboard
    chat.open(title)
    chat.page.get_by_role("button", name="Parameters").click()
    chat.page.get_by_label("Longest answer").fill("3")
    chat.page.get_by_label("System prompt").fill("Be brief.")
    chat.page.keyboard.press("Escape")
    expect(chat.page.get_by_role("button", name="Parameters")).to_be_focused()
    chat.ask("one two three four five")
    chat.finished()
    assert chat.text() == "one two three"
    expect(chat.answers.first).to_contain_text("Cut off at the token limit.")
    client = workspace.client()
    kept = client.loop.run(client.api.chats(query=title))["items"][0]
    assert kept["system"] == "Be brief."
    assert kept["parameters"]["max_tokens"] == 3


def compose(element: Locator, key: str) -> None:
    """Press a key that belongs to an input method, which is just making a word of other keys."""
    event = f"new KeyboardEvent('keydown', {{key: '{key}', isComposing: true, bubbles: true, cancelable: true}})"
    element.evaluate(f"element => element.dispatchEvent({event})")


def test_keys_send_and_break_lines_but_not_while_composing(dashboard: ChatPage) -> None:
    chat = dashboard
    chat.choose("Echo")
    chat.composer.fill("first")
    chat.composer.press("Shift+Enter")
    chat.page.keyboard.type("second")
    assert chat.composer.input_value() == "first\nsecond"
    compose(chat.composer, "Enter")
    expect(chat.asked).to_have_count(0)
    chat.page.get_by_role("button", name="Parameters").click()
    prompt = chat.page.get_by_label("System prompt")
    compose(prompt, "Escape")
    expect(prompt).to_be_visible()
    prompt.press("Escape")
    expect(prompt).to_have_count(0)
    chat.composer.press("Enter")
    chat.finished()
    chat.page.keyboard.press("Control+Shift+O")
    expect(chat.title).to_have_text("New conversation")
    expect(chat.composer).to_be_focused()


@pytest.mark.long
def test_keys_on_the_page_do_nothing_to_the_notebook(in_lab: Open) -> None:
    chat = in_lab()
    cells = chat.page.locator(".jp-Cell")
    before = cells.count()
    # A page that opens takes no keys from the cells.
    expect(chat.composer).not_to_be_focused()
    chat.page.locator(".lw-log").click()
    for key in ("a", "b", "d", "d", "x", "m", "Enter"):
        chat.page.keyboard.press(key)
    chat.composer.click()
    chat.page.keyboard.type("abddxm")
    assert chat.composer.input_value() == "abddxm"
    assert cells.count() == before


def test_narrow_the_list_is_a_drawer(in_voila: Open, prepared: Callable[..., str]) -> None:
    title = prepared("In the drawer")
    chat = in_voila(viewport={"width": 390, "height": 844})
    entry = chat.entries.get_by_role("button", name=title, exact=True)
    expect(entry).not_to_be_visible()
    chat.composer.press("Control+k")
    expect(chat.page.get_by_role("searchbox")).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(chat.page.get_by_role("searchbox")).not_to_be_visible()
    chat.page.get_by_role("button", name="Show conversations").click()
    entry.click()
    expect(chat.title).to_have_text(title)
    expect(entry).not_to_be_visible()
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= 390


def _brightness(chat: ChatPage) -> float:
    colour = chat.page.locator(".lw").evaluate("element => getComputedStyle(element).backgroundColor")
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


@pytest.mark.long
def test_the_theme_follows_voila(in_voila: Open) -> None:
    assert _brightness(in_voila("?theme=dark")) < 64
    assert _brightness(in_voila("?theme=light")) > 192


def test_the_theme_follows_lab_while_it_is_open(in_lab: Open) -> None:
    chat = in_lab()
    assert _brightness(chat) > 192
    chat.page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    expect(chat.page.locator(".lw[data-theme=dark]")).to_be_visible()
    assert _brightness(chat) < 64


@pytest.mark.long
def test_the_language_follows_the_browser_and_can_be_switched(in_voila: Open) -> None:
    chat = in_voila(locale="zh-CN")
    expect(chat.title).to_have_text("新对话")
    pdf = {"name": "report.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}
    with chat.page.expect_file_chooser() as chooser:
        chat.page.get_by_role("button", name="添加图片或文件").click()
    chooser.value.set_files([pdf])
    refused = chat.page.locator(".lw-file-state[role=alert]")
    expect(refused).to_have_text("report.pdf 是 PDF 文档。请将文字复制到 .txt 文件，或将各页作为图片添加。")
    chat.page.get_by_role("button", name="对话菜单").click()
    chat.page.get_by_role("menuitem", name="English").click()
    expect(chat.title).to_have_text("New conversation")
    expect(refused).to_have_text(re.compile(r"^report\.pdf is a PDF document\. Copy its text"))
    chat.page.reload()
    expect(chat.ready().title).to_have_text("New conversation")


def test_streamed_and_stored_markdown_look_the_same(dashboard: ChatPage, prepared: Callable[..., str]) -> None:
    text = (
        "# Title\n\nA *para*graph with `code` and a [link](https://example.org).\n\n1. one\n2. two\n\n   - deeper\n\n"
        "```python\ndef f(x):\n    return x  # <b>\n```\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n> quoted\n\n- [x] done\n"
    )
    title = prepared("Markdown", delay_s=0.01, tokens=[text[n : n + 3] for n in range(0, len(text), 3)])
    chat = dashboard
    chat.open(title)
    chat.ask("Show it")
    chat.finished()
    inside = "element => element.innerHTML.replace(/<div class=\"lw-tail\"><\\/div>/, '')"
    streamed = chat.page.locator(".lw-markdown").evaluate(inside)
    chat.page.reload()
    chat.ready().finished()
    assert chat.page.locator(".lw-markdown").evaluate(inside) == streamed
    for element in (
        "h1",
        "em",
        "code",
        "a[href]",
        "ol li ul li",
        ".hljs-keyword",
        "table td[align=right]",
        "blockquote",
    ):
        expect(chat.page.locator(f".lw-markdown {element}").first).to_be_attached()


def test_the_page_says_when_the_service_is_away_and_goes_on(in_voila: Open, workspace: Workspace) -> None:
    chat = in_voila()
    chat.choose("Echo")
    chat.ask("Before")
    chat.finished()
    with workspace.service_frozen():
        chat.page.get_by_role("searchbox").fill("Bef")
        banner = chat.page.get_by_text("The service does not answer.")
        expect(banner).to_be_visible()
    expect(banner).to_have_count(0)
    workspace.kill_service()
    chat.ask("After")
    chat.finished(2)
    assert chat.text() == "After"


def test_a_dashboard_that_is_left_ends_its_kernel(in_voila: Open, workspace: Workspace) -> None:
    chat, server = in_voila(), psutil.Process(workspace.servers["voila"].pid)
    youngest = max(server.children(), key=lambda child: child.create_time())
    chat.page.goto("about:blank")
    youngest.wait(START_LIMIT_S)


def test_the_dashboard_needs_no_other_host_and_allows_none(dashboard: ChatPage) -> None:
    chat = dashboard
    blocked = chat.page.evaluate("fetch('https://foreign.example/').then(() => false, () => true)")
    assert blocked
    policy = chat.page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
    assert "default-src 'none'; script-src 'self' blob:;" in policy
