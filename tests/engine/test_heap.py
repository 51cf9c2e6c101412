import platform
import subprocess
import sys

import pytest

# Every thread takes and keeps small blocks at once; a heap that is not the first lies in a mapping of its own.
CODE = """
import re, sys, threading
from stt_server.engine.heap import share_one_heap

if sys.argv[1] == "shared":
    assert share_one_heap()
import numpy as np

held, begin = [], threading.Barrier(8)


def take():
    begin.wait()
    for _ in range(2000):
        held.append(np.ones(1000, np.uint8))


threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

import ctypes

libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
print(len(re.findall("<heap nr", open(sys.argv[2]).read())))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has a heap for every thread")
def test_threads_share_one_heap(tmp_path):
    assert heaps("own", tmp_path) > 1
    assert heaps("shared", tmp_path) == 1


HOLES = """
import asyncio, sys
from pathlib import Path

import numpy as np

from stt_server.engine.heap import trimming


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])


async def main():
    kept = [np.ones(50_000, np.uint8) for _ in range(1000)]
    full = resident()
    with trimming(every_s=0.01):
        del kept[:-1]  # the last one keeps the heap's end
        async with asyncio.timeout(50):
            while resident() > full - 8000:
                await asyncio.sleep(0.01)
    print(len(asyncio.all_tasks()), resident() < full)


asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc trims")
def test_pages_freed_in_the_midst_of_the_heap_go_back_while_the_loop_runs():
    """40 MB, of 4 kB a page."""
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "1 True\n"


def heaps(mode, folder):
    """How many heaps the C library says that it has, in a process of its own."""
    command = [sys.executable, "-c", CODE, mode, str(folder / "heaps.xml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


ASIDE = """
import gc, weakref

from stt_server.engine.heap import set_aside

class Cycle:
    def __init__(self):
        self.own = self

set_aside()
watched = weakref.ref(Cycle())
gc.collect()
print(gc.get_freeze_count() > 10_000, watched() is None)
"""


def test_what_is_there_at_the_start_is_set_aside_and_what_comes_later_is_still_collected():
    """In a process of its own: the tests' has set aside the tests."""
    command = [sys.executable, "-c", ASIDE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True", "True"]
