"""What code in a person's account tries against others; `main` prints a list of what was tried and what came of it.

It is not imported by the tests: its text runs in a kernel, where nothing but Python is sure to be there.
"""

# These are system calls, each an attack of its own.
# ruff: noqa: SIM115, PTH101, PTH104, PTH106, PTH108, PTH110, PTH112, PTH113, PTH116, PTH123, PTH207, PTH208, PTH211

from __future__ import annotations

import contextlib
import ctypes
import glob
import http.client
import itertools
import json
import mmap
import os
import socket
import subprocess
from collections.abc import Callable
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
FOUND: list[tuple[str, str]] = []
_PROC_FILES = ("environ", "mem", "maps", "auxv", "stack", "io", "pagemap", "personality", "syscall", "smaps")
_ATTACH, _DETACH, _SEIZE, _PIDFD_GETFD, _EFAULT = 16, 17, 0x4206, 438, 14
_NEW_USER, _NEW_MOUNTS, _OPEN_FILES = 0x10000000, 0x20000, 7


def attempt(what: str, act: Callable[..., Any], *given: Any) -> None:
    """Count an attempt; what it returns, if anything, is its success."""
    try:
        success = act(*given)
    except (OSError, subprocess.SubprocessError, http.client.HTTPException, ValueError, OverflowError):
        success = None
    FOUND.append((what, str(success)[:200] if success not in (None, False, "", b"", -1, []) else ""))


def main(told: dict[str, Any]) -> None:
    """Try everything. `told` has what root knows of the others: paths, processes, ports, how their secrets look."""
    # All of it is harmless only where it fails.
    assert os.getuid() >= 200_000
    reach_files(told)
    reach_processes(told["processes"])
    become_another(told)
    take_over_doors(told)
    ask_others(told)
    os.chdir(told["home"])
    print(json.dumps(FOUND))


def reach_files(told: dict[str, Any]) -> None:
    for folder in told["folders"]:
        attempt(f"list {folder}", os.listdir, folder)
        attempt(f"enter {folder}", lambda path: os.chdir(path) is None, folder)
        attempt(f"rename {folder}", lambda path: os.rename(path, f"{path}-moved") is None, folder)
    for folder in told["folders"] + told["unwritable"]:
        attempt(f"write in {folder}", plant, folder)
        attempt(f"allowed to write in {folder}", os.access, folder, os.W_OK)
        attempt(f"make {folder} mine", lambda path: os.chown(path, os.getuid(), os.getgid()) is None, folder)
        attempt(f"open up {folder}", lambda path: os.chmod(path, 0o777) is None, folder)
    for file in told["files"]:
        attempt(f"read {file}", read, file)
        attempt(f"remove {file}", lambda path: os.unlink(path) is None, file)
        link = f"{told['home']}/link-{os.getpid()}"
        attempt(f"hard link to {file}", lambda path, link=link: os.link(path, link) is None, file)
        with contextlib.suppress(OSError):
            os.unlink(link)
        os.symlink(file, link)
        attempt(f"read {file} by a link", read, link)
        os.unlink(link)
    for file in told["files"] + told["unwritable_files"]:
        attempt(f"write {file}", write, file)
        attempt(f"append to {file}", write, file, os.O_WRONLY | os.O_APPEND)
        attempt(f"open up {file}", lambda path: os.chmod(path, 0o777) is None, file)
    attempt("root of a user namespace", in_another_world, [*told["files"], *told["unwritable_files"]])
    attempt("read the machine's memory", lambda: mmap.mmap(os.open("/dev/mem", os.O_RDONLY), 4096).read(16))
    for folder in [*glob.glob("/tmp/*"), *glob.glob("/dev/shm/*"), *glob.glob("/run/user/*"), *glob.glob("/var/tmp/*")]:
        with contextlib.suppress(OSError):
            if os.stat(folder).st_uid in told["uids"][1:]:
                attempt(f"read {folder}", lambda path: os.listdir(path) if os.path.isdir(path) else read(path), folder)
                attempt(f"remove {folder}", lambda path: os.rmdir(path) is None, folder)


def reach_processes(processes: list[int]) -> None:
    for pid in processes:
        for name in _PROC_FILES:
            attempt(f"read /proc/{pid}/{name}", read, f"/proc/{pid}/{name}")
        for name in ("fd", "cwd", "root", "map_files", "fdinfo", "cwd/private"):
            attempt(f"list /proc/{pid}/{name}", os.listdir, f"/proc/{pid}/{name}")
        for name in ("exe", "cwd", "root", "fd/1", "ns/mnt"):
            attempt(f"follow /proc/{pid}/{name}", os.readlink, f"/proc/{pid}/{name}")
        for name in ("oom_score_adj", "clear_refs", "coredump_filter", "comm"):
            attempt(f"write /proc/{pid}/{name}", write, f"/proc/{pid}/{name}")
        attempt(f"signal {pid}", lambda at: os.kill(at, 0) is None, pid)
        attempt(f"slow down {pid}", lambda at: os.setpriority(os.PRIO_PROCESS, at, 19) is None, pid)
        for order in (_ATTACH, _SEIZE):
            attempt(f"trace {pid}", trace, pid, order)
        limits = (ctypes.c_ulong * 2)(9, 9)
        attempt(f"limit {pid}", lambda at, to=limits: LIBC.prlimit(at, _OPEN_FILES, ctypes.byref(to), None) == 0, pid)
        attempt(f"read the memory of {pid}", peek, pid)
        attempt(f"take a file of {pid}", take, pid)


def become_another(told: dict[str, Any]) -> None:
    for uid in told["uids"]:
        attempt(f"become {uid}", lambda at: os.setuid(at) is None, uid)
        attempt(f"become the group {uid}", lambda at: os.setgid(at) is None, uid)
        attempt(f"join the group {uid}", lambda at: os.setgroups([at]) is None, uid)
        attempt(f"act as {uid}", lambda at: os.setresuid(at, at, at) is None, uid)
        attempt(f"open files as {uid}", lambda at: LIBC.setfsuid(at) == at or LIBC.setfsuid(-1) == at, uid)
        attempt(f"give {uid} a folder", lambda at: os.chown(told["home"], at, at) is None, uid)
    for command in ("su -c id", "sudo -n id", "mount -t tmpfs x /mnt", "chroot / id", "nsenter -t 1 -a id"):
        attempt(command, run_as_root, command)
    for path in sorted({*glob.glob("/usr/bin/*"), *glob.glob("/usr/sbin/*"), *glob.glob("/usr/lib/*/*")}):
        with contextlib.suppress(OSError):
            if os.stat(path).st_mode & 0o6000 and os.path.isfile(path):
                # What has more rights than who runs it, gives none: this is what forbids that, for all it starts.
                attempt(f"more rights by {path}", lambda: b"NoNewPrivs:\t0" in open("/proc/self/status", "rb").read())
    for terminal in ("/dev/tty", "/dev/console", *glob.glob("/dev/pts/[0-9]*")):
        attempt(f"type into {terminal}", write, terminal)


def take_over_doors(told: dict[str, Any]) -> None:
    for (name, port), address in itertools.product(told["ports"].items(), ("127.0.0.1", "0.0.0.0", "::")):
        attempt(f"listen where the {name} does, at {address}", listen, address, port)
    for path in sorted({line.split()[-1] for line in open("/proc/net/unix").readlines()[1:] if len(line.split()) > 7}):
        if "llmws" in path and not path.startswith(told["home"]):
            attempt(f"connect to {path}", knock, "\0" + path[1:] if path.startswith("@") else path)


def ask_others(told: dict[str, Any]) -> None:
    ports, mine = told["ports"], told["token"]
    claim = {"runner": "thief", "accelerators": [], "wait_s": 0}
    orders = (("/api/runner/claim", claim), ("/api/runner/jobs/x/report", {"runner": "thief", "state": "finished"}))
    orders += (("/api/shutdown", {}),)
    routes = ("/api/routes", "/api/routes/user/rita", "/api/routes/hub")
    for token in (None, mine, "0" * 64):
        for path, method in itertools.product(routes, ("GET", "POST", "DELETE")):
            attempt(f"{method} {path} of the proxy", is_done, ports["proxy"], method, path, token, {"target": "x"})
        for (path, body), base, port in itertools.product(
            orders, ("/services/llmws", ""), (ports["service"], ports["front"])
        ):
            for scheme in ("Bearer", "token"):
                attempt(f"POST {base}{path} at {port}", is_done, port, "POST", base + path, token, body, scheme)
        for (root, port), path in itertools.product(
            told["servers"].items(), ("api/kernels", "api/contents/", "api/me", "lab", "voila/render/chat.ipynb", "")
        ):
            for at, method in itertools.product((port, ports["front"]), ("GET", "POST")):
                attempt(f"{method} {root}{path} at {at}", is_done, at, method, root + path, token, {})
    pieces = ("", "/messages", "/events", "/restore", "/cancel")
    for (noun, thing), piece, port in itertools.product(
        told["things"].items(), pieces, (ports["service"], ports["front"])
    ):
        path = f"/services/llmws/api/{noun}s/{thing}{piece}"
        attempt(f"GET {path} at {port}", shows_marks, told["marks"], port, "GET", path, mine, None, "Bearer")
    search = "/services/llmws/api/chats?query=knows"
    attempt("search others' chats", shows_marks, told["marks"], ports["service"], "GET", search, mine, None, "Bearer")


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(64)


def write(path: str, flags: int = os.O_WRONLY) -> str:
    os.close(os.open(path, flags | os.O_NOCTTY))
    return "opened"


def plant(folder: str) -> str:
    path = f"{folder}/planted-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    return "planted"


def trace(pid: int, order: int) -> bool:
    attached = bool(LIBC.ptrace(order, pid, 0, 0) == 0)
    if attached:
        LIBC.ptrace(_DETACH, pid, 0, 0)
    return attached


def peek(pid: int) -> bool:
    """Read another process's memory: https://man7.org/linux/man-pages/man2/process_vm_readv.2.html"""
    here = ctypes.create_string_buffer(16)
    mine, theirs = ((ctypes.c_void_p * 2)(at, 16) for at in (ctypes.addressof(here), 0x400000))
    copied = LIBC.process_vm_readv(pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
    # This error says that it may, and that there is nothing at the address.
    return copied > 0 or (copied < 0 and ctypes.get_errno() == _EFAULT)


def take(pid: int) -> bool:
    handle = os.pidfd_open(pid)
    try:
        return LIBC.syscall(_PIDFD_GETFD, handle, 1, 0) >= 0
    finally:
        os.close(handle)


def run_as_root(command: str) -> bool:
    done = subprocess.run(command.split(), capture_output=True, timeout=10, stdin=subprocess.DEVNULL)
    return b"uid=0" in done.stdout or (command.startswith("mount") and done.returncode == 0)


def in_another_world(paths: list[str]) -> bytes:
    """Make a user namespace, where one is root of nothing but oneself, and look again."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        seen = b""
        with contextlib.suppress(Exception):
            uid = os.getuid()
            if LIBC.unshare(_NEW_USER | _NEW_MOUNTS) == 0:
                for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {uid} 1")):
                    with open(f"/proc/self/{name}", "w") as file:
                        file.write(text)
                for path in paths:
                    with contextlib.suppress(OSError):
                        os.chown(path, 0, 0)
                        seen += b"owned " + path.encode()
                    with contextlib.suppress(OSError):
                        write(path)
                        seen += b"wrote " + path.encode()
        os.write(writer, seen[:1000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        seen = answer.read()
    os.waitpid(child, 0)
    return seen


def listen(address: str, port: int) -> Any:
    """Bound beside the true one is not in its place: what counts is who is connected to."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(kind) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        thief.bind((address, port))
        thief.listen()
        thief.settimeout(0.3)
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", port), 2), contextlib.suppress(TimeoutError):
                return thief.accept()
    return None


def knock(path: str) -> str:
    if os.path.exists(path) and os.stat(path).st_uid == os.getuid():
        return ""
    with socket.socket(socket.AF_UNIX) as knocking:
        knocking.settimeout(2)
        knocking.connect(path)
        return "connected"


def ask(
    port: int, method: str, path: str, token: str | None, body: Any = None, scheme: str = "token"
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    headers = {"Content-Type": "application/json", **({"Authorization": f"{scheme} {token}"} if token else {})}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read(100_000)
    finally:
        connection.close()


def is_done(*asked: Any) -> Any:
    status, said = ask(*asked)
    return status < 300 and b"Sign in" not in said and (status, said[:100])


def shows_marks(marks: list[str], *asked: Any) -> bool:
    said = ask(*asked)[1]
    return any(mark.encode() in said for mark in marks)
