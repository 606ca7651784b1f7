"""HTTP to servers that are not ours: every failure named, no address that may not be, nothing left open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from llmws import http
from llmws.addresses import AddressPolicy
from llmws.outbound import new_client
from tests.ports import free_port

LIMIT_S = 10.0
LAPTOP = AddressPolicy()
HUB = AddressPolicy(private_allowed=False)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
OPEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[..., Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server on loopback and gives its address."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> str:
        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if task := asyncio.current_task():
                tasks.add(task)
            # Python 3.11 reports a cancelled handler as an error in its own callback.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handler(reader, writer)
            writer.close()

        servers.append(await asyncio.start_server(guarded, host, 0, ssl=tls))
        return f"{'http' if tls is None else 'https'}://{host}:{servers[-1].sockets[0].getsockname()[1]}"

    yield serve
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def saying(answer: bytes, heads: list[str] | None = None) -> Handler:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if heads is not None:
                heads.append(head)
            writer.write(answer)
            await writer.drain()
            if answer != OK:
                return

    return say


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OPEN)
    await reader.read(1)


class Names(AbstractResolver):
    """Looks up what a test says; each name may change its addresses, the last ones stay."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): addresses for name, addresses in names.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        known = self.names[host]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in (known.pop(0) if len(known) > 1 else known[0])
        ]

    async def close(self) -> None:
        """Nothing is held open."""


async def kind(url: str, policy: AddressPolicy = LAPTOP, **options: Any) -> str:
    """How asking `url` fails, in `http.failure`'s words; "" where it does not."""
    async with asyncio.timeout(LIMIT_S), new_client(policy, **options) as client:
        try:
            await client.post(url, content=b"{}")
        except http.HTTPError as error:
            return http.failure(error)
    return ""


# Failures, by name


async def test_a_name_that_nobody_knows() -> None:
    assert await kind("http://nobody.example", resolver=Names()) == "name"


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"], ["::1", "127.0.0.1"]])
async def test_nothing_listens(addresses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where another of its addresses has no way to it, as ``::1`` on a machine without IPv6."""
    connect = socket.socket.connect

    def connect_or_not(self: socket.socket, address: Any) -> None:
        if address[0] == "::1":
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_or_not)
    assert await kind(f"http://127.0.0.1:{free_port()}") == "refused"
    assert await kind(f"http://llm.example:{free_port()}", resolver=Names(llm_example=[addresses])) == "refused"


async def test_a_server_that_speaks_no_tls(serve: Serve) -> None:
    async def complain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    assert await kind((await serve(complain)).replace("http://", "https://")) == "tls"


async def test_a_name_that_takes_for_ever_to_look_up() -> None:
    class Slow(Names):
        async def resolve(self, *_: Any, **__: Any) -> Any:
            await asyncio.Event().wait()

    assert await kind("http://llm.example", resolver=Slow(), connect_s=0.2) == "unreachable"


@pytest.mark.parametrize(
    "answer",
    [b"", b"What?\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", b"HTTP/1.1 200 OK\r\nbad\r\n\r\n"],
)
async def test_an_answer_that_is_none(serve: Serve, answer: bytes) -> None:
    assert await kind(await serve(saying(answer))) == "broken"


@pytest.mark.parametrize("url", ["ftp://llm.example/v1", "http://", "http://127.1/v1", "http://2130706433/"])
async def test_an_address_that_cannot_be_asked(url: str) -> None:
    assert await kind(url, resolver=Names()) == "address"


@pytest.mark.parametrize("answer", [b"", OPEN])
async def test_a_server_that_falls_silent(serve: Serve, answer: bytes) -> None:
    async def fall_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()

    assert await kind(await serve(fall_silent), idle_s=0.3) == "silent"


async def test_a_server_that_never_reads_what_it_is_sent(serve: Serve) -> None:
    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    url = await serve(never_read)
    async with asyncio.timeout(LIMIT_S), new_client(LAPTOP, connect_s=2.0, idle_s=0.3) as client:
        with pytest.raises(http.TimeoutException) as caught:
            await client.post(url, content=b"x" * 32_000_000)
    assert http.failure(caught.value) == "silent"


async def test_a_client_without_a_free_connection_is_busy_until_there_is_one(serve: Serve) -> None:
    url = await serve(hold)
    async with asyncio.timeout(LIMIT_S), new_client(LAPTOP, connections=1) as client:
        async with client.stream("GET", url):
            with pytest.raises(http.TimeoutException) as caught:
                await client.get(url, timeout=http.timeout(LIMIT_S, 0.1))
            assert http.failure(caught.value) == "busy"
        async with client.stream("GET", url) as response:
            assert response.status_code == 200


async def test_a_server_that_keeps_all_its_connections_takes_none_from_another(serve: Serve) -> None:
    busy, other = await serve(hold), await serve(saying(OK))
    async with (
        asyncio.timeout(LIMIT_S),
        new_client(LAPTOP, connections=1) as client,
        client.stream("GET", busy),
    ):
        assert (await client.get(other)).text == "hi"


# What is sent and read


def hanging_up(heads: list[str], answered: int) -> Handler:
    """Promises to keep the connection, and hangs up on the next request without a word."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(answered):
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(OK)
            await writer.drain()
        await reader.readuntil(b"\r\n\r\n")

    return serve


async def test_a_connection_that_died_while_it_waited_is_not_the_end(serve: Serve) -> None:
    heads: list[str] = []
    url = await serve(hanging_up(heads, 1))
    async with new_client(LAPTOP) as client:
        for _ in range(3):
            assert (await client.post(url, content=b"hello")).text == "hi"
    assert len(heads) == 3


async def test_who_hangs_up_on_a_new_connection_is_not_asked_twice(serve: Serve) -> None:
    asked: list[str] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())

    url = await serve(listen)
    async with new_client(LAPTOP) as client:
        with pytest.raises(http.HTTPError) as caught:
            await client.post(url, content=b"hello")
    assert http.failure(caught.value) == "broken"
    assert len(asked) == 1


async def test_who_hangs_up_after_some_work_is_not_asked_twice(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmws.outbound._HUNG_UP_S", 0.0)
    heads: list[str] = []
    url = await serve(hanging_up(heads, 1))
    async with new_client(LAPTOP) as client:
        await client.post(url, content=b"hello")
        with pytest.raises(http.HTTPError) as caught:
            await client.post(url, content=b"hello")
    assert http.failure(caught.value) == "broken"
    assert len(heads) == 1


async def test_an_address_is_sent_as_it_is(serve: Serve) -> None:
    heads: list[str] = []
    url = await serve(saying(OK, heads))
    assert await kind(f"{url}/a%2Fb/%E4%BD%A0?q=a+b%20c&r=%2B".replace("://", "://us%40er:pa%3Ass@")) == ""
    assert heads[0].startswith("POST /a%2Fb/%E4%BD%A0?q=a+b%20c&r=%2B HTTP/1.1\r\n")
    assert "uthorization: Basic dXNAZXI6cGE6c3M=\r\n" in heads[0]


async def test_headers_may_be_long(serve: Serve) -> None:
    url = await serve(saying(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 50_000 + b"\r\nContent-Length: 0\r\n\r\n"))
    assert await kind(url) == ""


async def test_what_a_server_sets_for_one_is_not_sent_for_another(serve: Serve) -> None:
    heads: list[str] = []
    url = await serve(saying(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: whose=one; Path=/\r\n\r\n"), heads))
    async with new_client(LAPTOP) as client:
        await client.get(url)
        await client.get(url)
    assert "cookie" not in heads[1].lower()


async def test_hanging_up_is_seen_at_once_and_frees_the_connection(serve: Serve) -> None:
    hung_up = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold(reader, writer)
        hung_up.set()

    url = await serve(watch)
    async with asyncio.timeout(LIMIT_S), new_client(LAPTOP, connections=1) as client:
        async with client.stream("GET", url) as response:
            assert await anext(response.aiter_text()) == "data: 1\n\n"
        await hung_up.wait()
        hung_up.clear()
        task = asyncio.create_task(client.get(url))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with client.stream("GET", url) as response:
            assert response.status_code == 200


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 and of proxied.example that signs itself, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a company")])
    names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("proxied.example")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), False)
        .sign(key, hashes.SHA256())
    )
    private = serialization.PrivateFormat.TraditionalOpenSSL
    pem = key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    path = tmp_path / "company.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, tmp_path / "key.pem")
    return path, context


async def test_certificates_of_an_organisation_are_named_in_the_environment(
    serve: Serve, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = certificate
    url = await serve(saying(OK), tls=context)
    http.certificates.cache_clear()
    assert await kind(url) == "tls"
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    http.certificates.cache_clear()
    assert await kind(url) == ""
    assert await kind(url.replace("127.0.0.1", "llm.example"), resolver=Names(llm_example=[["127.0.0.1"]])) == "tls"
    http.certificates.cache_clear()


# Addresses


METADATA = """
    169.254.169.254 169.254.169.254. 2852039166 0xa9.254.169.254 0xa9fea9fe 0251.254.169.254 169.16689662
    [::ffff:169.254.169.254] [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::1] [fe80::1] [fd00:ec2::254] 100.100.100.200
    0.0.0.0 0 [::]
"""


@pytest.mark.parametrize("host", METADATA.split())
async def test_metadata_is_asked_by_nobody_in_any_form(host: str) -> None:
    url = f"http://{host}/latest/meta-data/"
    assert not http.is_address(url) or await kind(url) in ("forbidden", "address")


async def test_a_name_is_judged_by_where_it_leads() -> None:
    names = Names(metadata_example=[["169.254.169.254", "fe80::1"]], local_example=[["127.0.0.1"]])
    assert await kind("http://metadata.example", resolver=names) == "forbidden"
    assert await kind("http://local.example", HUB, resolver=names) == "forbidden"
    assert await kind(f"http://local.example:{free_port()}", LAPTOP, resolver=names) == "refused"


async def test_of_several_addresses_those_are_asked_that_may_be(serve: Serve) -> None:
    port = (await serve(saying(OK))).rpartition(":")[2]
    names = Names(llm_example=[["169.254.169.254", "127.0.0.1"]])
    assert await kind(f"http://llm.example:{port}", resolver=names) == ""


async def test_a_hub_asks_its_own_machine_where_an_administrator_lets_it(serve: Serve) -> None:
    url = await serve(saying(OK))
    assert await kind(url, HUB) == "forbidden"
    assert await kind(url, AddressPolicy(False, ("127.0.0.0/8",))) == ""
    named = url.replace("127.0.0.1", "llm.example")
    assert await kind(named, AddressPolicy(False, ("llm.example",)), resolver=Names(llm_example=[["127.0.0.1"]])) == ""


async def test_a_name_that_changes_its_address_gains_nothing(serve: Serve) -> None:
    """The first address may be asked, the second may not, and nothing listens at the second look-up's but a trap."""
    trapped: list[str] = []
    port = (await serve(saying(OK, trapped))).rpartition(":")[2]
    policy = AddressPolicy(False, ("127.0.0.2/32",))
    names = Names(rebinding_example=[["127.0.0.2"], ["127.0.0.1"]])
    assert await kind(f"http://rebinding.example:{port}", policy, resolver=names) == "refused"
    assert names.asked == ["rebinding.example"], "what was judged is what was connected to"
    assert await kind(f"http://rebinding.example:{port}", policy, resolver=names) == "forbidden"
    assert trapped == []


async def test_a_redirect_is_not_followed(serve: Serve) -> None:
    url = await serve(saying(b"HTTP/1.1 307 Go\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"))
    async with new_client(LAPTOP) as client:
        assert (await client.post(url)).status_code == 307


# Proxies


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the environment's proxies, and no others."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def set_all(**proxies: str) -> None:
        for name, proxy in proxies.items():
            monkeypatch.setenv(name, proxy)

    return set_all


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_asked(serve: Serve, proxied: Callable[..., None], name: str) -> None:
    heads: list[str] = []
    url = await serve(saying(OK, heads))
    proxied(**{name: url.replace("://", "://user:secret@")})
    assert await kind("http://llm.example/v1", resolver=Names()) == ""
    assert heads[0].startswith("POST http://llm.example/v1 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in heads[0]


async def test_the_scheme_decides_which_proxy(serve: Serve, proxied: Callable[..., None]) -> None:
    heads: list[str] = []
    refusing = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    proxied(HTTPS_PROXY=await serve(saying(refusing, heads)), HTTP_PROXY=f"127.0.0.1:{free_port()}")
    assert await kind("https://llm.example/v1", resolver=Names()) == "proxy"
    assert heads[0].startswith("CONNECT llm.example:443 HTTP/1.1\r\n")
    assert await kind("http://llm.example/v1", resolver=Names()) == "proxy", "nothing listens there"


async def test_a_proxy_passes_on_what_it_cannot_read(
    serve: Serve,
    proxied: Callable[..., None],
    certificate: tuple[Path, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, context = certificate
    heads: list[str] = []
    behind = (await serve(saying(OK, heads), tls=context)).rpartition(":")[2]

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        back, forth = await asyncio.open_connection("127.0.0.1", int(behind))

        async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                target.write(data)
            target.close()

        await asyncio.gather(pass_on(reader, forth), pass_on(back, writer))

    proxied(HTTPS_PROXY=await serve(tunnel))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    http.certificates.cache_clear()
    assert await kind("https://proxied.example/v1", resolver=Names()) == ""
    assert heads[0].lower().startswith("post /v1 http/1.1\r\nhost: proxied.example\r\n")
    assert await kind("https://another.example/v1", resolver=Names()) == "tls", "not the proxy's fault"
    http.certificates.cache_clear()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://nobody.example:3128"])
async def test_a_proxy_that_is_none(proxied: Callable[..., None], proxy: str) -> None:
    proxied(ALL_PROXY=proxy)
    assert await kind("http://llm.example/v1", resolver=Names()) == "proxy"


@pytest.mark.parametrize("exempt", ["llm.example", ".example", "*"])
async def test_no_proxy_is_heeded(proxied: Callable[..., None], exempt: str) -> None:
    proxied(ALL_PROXY="http://127.0.0.1:9", NO_PROXY=exempt)
    assert await kind("http://llm.example/v1", resolver=Names()) == "name"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::1]"])
async def test_no_proxy_leads_to_this_machine(proxied: Callable[..., None], host: str) -> None:
    proxied(ALL_PROXY="http://127.0.0.1:9")
    assert await kind(f"http://{host}:{free_port()}") == "refused"


async def test_a_proxy_opens_no_hole(serve: Serve, proxied: Callable[..., None]) -> None:
    heads: list[str] = []
    proxied(ALL_PROXY=await serve(saying(OK, heads)))
    names = Names(metadata_example=[["169.254.169.254"]], inner_example=[["10.0.0.1"]], outer_example=[["8.8.8.8"]])
    for host in ("169.254.169.254", "metadata.example"):
        assert await kind(f"http://{host}/", resolver=names) == "forbidden"
    for host in ("10.0.0.1", "inner.example", "only-the-proxy-knows.example"):
        assert await kind(f"http://{host}/", HUB, resolver=names) == "forbidden"
    assert heads == []
    assert await kind("http://outer.example/", HUB, resolver=names) == ""
    assert await kind("http://inner.example/", AddressPolicy(False, ("10.0.0.0/8",)), resolver=names) == ""


async def test_the_proxy_itself_is_no_address_for_users(serve: Serve, proxied: Callable[..., None]) -> None:
    url = await serve(saying(OK))
    proxied(ALL_PROXY=url)
    assert await kind(url, HUB) == "forbidden"
