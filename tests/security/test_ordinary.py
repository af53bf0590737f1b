"""What must stay possible: the walls do not break ordinary Python programs.

Each program runs outside too, with the same outcome.
"""

from __future__ import annotations

import textwrap

import pytest
from conftest import place
from tools import request

PROGRAMS = {
    "threads": """
        import threading
        found = []
        threads = [threading.Thread(target=found.append, args=(place,)) for place in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        result = sorted(found)
    """,
    "subprocess": """
        import subprocess
        result = subprocess.run(["sh", "-c", "echo $((6 * 7)); exit 3"], capture_output=True, text=True)
        result = result.stdout, result.returncode
    """,
    "multiprocessing": """
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2) as pool:
            result = pool.map(abs, [-1, -2, -3])
        queue = multiprocessing.Queue()
        queue.put(5)
        result = result, queue.get()
    """,
    "shared memory": """
        from multiprocessing import shared_memory, resource_tracker
        one = shared_memory.SharedMemory(create=True, size=10)
        one.buf[0] = 7
        other = shared_memory.SharedMemory(one.name)
        result = other.buf[0]
        other.close()
        one.close()
        one.unlink()
    """,
    "asyncio": """
        import asyncio

        async def main():
            process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
            told, _ = await process.communicate()
            server = await asyncio.start_server(lambda r, w: (w.write(b"hi"), w.close()), "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            said = await reader.read()
            writer.close()
            server.close()
            return told.decode(), said.decode()

        result = asyncio.run(main())
    """,
    "kernel objects": """
        import ctypes, os, select, signal, socket, struct
        memory = os.memfd_create("x")
        os.write(memory, b"abc")
        watch = libc.inotify_init1(0)
        added = libc.inotify_add_watch(watch, here.encode(), 0x100)
        open(here + "/new", "w").close()
        event = len(os.read(watch, 1000)) > 0
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        mask = ctypes.create_string_buffer(struct.pack("Q", 1 << signal.SIGUSR1 - 1), 128)
        signals = libc.signalfd(-1, mask, 0)
        os.kill(os.getpid(), signal.SIGUSR1)
        number = struct.unpack_from("I", os.read(signals, 128))[0] == signal.SIGUSR1
        timer = libc.timerfd_create(1, 0)
        events = libc.eventfd(3, 0)
        polled = select.epoll().fileno() > 0
        result = added > 0, event, number, timer > 0, struct.unpack("Q", os.read(events, 8))[0], polled
    """,
    "files": """
        import fcntl, mmap, os, shutil, tempfile
        one, other = tempfile.mkdtemp(), tempfile.mkdtemp(dir="/dev/shm")
        with open(one + "/a", "w+b") as file:
            file.write(b"x" * 8192)
            file.flush()
            fcntl.flock(file, fcntl.LOCK_EX)
            fcntl.lockf(file, fcntl.LOCK_EX)
            with mmap.mmap(file.fileno(), 0) as mapped:
                mapped[0] = 65
        os.link(one + "/a", one + "/b")
        os.mkdir(one + "/folder")
        # From one folder to another, which Landlock refuses where it is not told otherwise.
        os.rename(one + "/a", one + "/folder/c")
        shutil.move(one + "/folder/c", other + "/d")
        os.setxattr(one + "/b", "user.x", b"y")
        os.mkfifo(one + "/fifo")
        size = os.stat(other + "/d").st_size
        ends = os.open(one + "/b", os.O_RDONLY), os.open(one + "/e", os.O_RDWR | os.O_CREAT)
        copied = os.copy_file_range(*ends, 100)
        shutil.rmtree(one)
        shutil.rmtree(other)
        result = size, copied
    """,
    "sockets": """
        import socket
        pairs = [socket.socketpair(), socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)]
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
            socket.create_connection(server.getsockname()[:2]).close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            one.sendto(b"x", one.getsockname())
            got = one.recv(10).decode()
        result = got, socket.if_nameindex()[0][1], socket.getaddrinfo("127.0.0.1", 80)[0][4][1]
    """,
    "terminals": """
        import os, pty, subprocess
        master, slave = pty.openpty()
        ends = dict(stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        subprocess.run(["sh", "-c", "stty rows 7; stty size < /dev/pts/ptmx || true; stty size"], **ends)
        os.close(slave)
        told = b""
        while isinstance(more := outcome(os.read, master, 1000), bytes):
            told += more
        result = b"7 " in told
    """,
    "signals to one's own": """
        import os, signal, subprocess, time
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)
        os.killpg(process.pid, signal.SIGTERM)
        result = process.wait()
    """,
    "limits and priorities": """
        import os, resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        os.nice(1)
        os.sched_setaffinity(0, os.sched_getaffinity(0))
        result = resource.getrlimit(resource.RLIMIT_NOFILE)[0], len(os.getrandom(4)), os.cpu_count() > 0
    """,
    "the shell's tools": """
        import subprocess
        script = '''set -e
            cd "$(mktemp -d)"
            mkdir a b && echo x > a/f && mv a/f b/g && cp -a b c && tar cf d.tar c && tar xf d.tar
            chown 0:0 c/g && chmod 600 c/g && touch -d @1 c/g && ln -s c/g l && find . -type f | wc -l
            ls /proc/self/fd >/dev/null; ps 2>/dev/null >&2 || true; df . >/dev/null; id -u'''
        result = subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout.split()
    """,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_ordinary_programs_run(inside, outside, program) -> None:
    link = "import socket\nsocket.setdefaulttimeout(10)\n"
    up = "import subprocess\nsubprocess.run(['ip', 'link', 'set', 'lo', 'up'])\n"
    code = textwrap.dedent(PROGRAMS[program])
    assert inside(link + code) == outside(up + link + code)


NATIVE = """
    import modal

    image = modal.Image.debian_slim().pip_install(["numpy", "uvloop"])
    stub = modal.Stub("native")

    @stub.webhook(image=image)
    async def f():
        import asyncio
        import concurrent.futures

        import numpy
        import uvloop

        ones = numpy.ones((300, 300))
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            there = list(pool.map(float, [1, 2]))

        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            loop = uvloop.new_event_loop()
            told = thread.submit(lambda: loop.run_until_complete(asyncio.sleep(0, "slept"))).result()
        return [float((ones @ ones).sum()), there, told, type(loop).__module__]
"""


def test_numpy_and_uvloop_run(server) -> None:
    file = place(server, "native") / "native.py"
    file.write_text(textwrap.dedent(NATIVE))
    answer = request(server.deploy(file, "native")["f"])
    assert answer.status == 200, answer.text
    assert answer.json() == [27_000_000.0, [1.0, 2.0], "slept", "uvloop"]
