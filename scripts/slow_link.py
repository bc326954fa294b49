"""Joins two network namespaces by a link that delays packets and loses some: in user space, over a TUN device in each, so that it needs no
netem in the kernel. Ends with its input.
usage: slow_link.py NAMESPACE NAMESPACE THERE_MS BACK_MS LOST      (as root; LOST: a share; the ends are 10.99.0.1 and 10.99.0.2)"""

import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001


def open_end(namespace, address):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            sys.exit(f"no way into the namespace {namespace}: {os.strerror(ctypes.get_errno())}")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"slow", IFF_TUN_NO_PI))
    for command in (f"address add {address}/24 dev slow", "link set slow up", "link set lo up"):
        subprocess.run(["ip", *command.split()], check=True)
    return tun


names, delays, lost = sys.argv[1:3], [float(ms) * 1e-3 for ms in sys.argv[3:5]], float(sys.argv[5])
ends = [open_end(name, f"10.99.0.{i + 1}") for i, name in enumerate(names)]
rng, order, waiting = random.Random(0), itertools.count(), []
print("joined", flush=True)
while True:
    pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
    ready, _, _ = select.select([*ends, sys.stdin], [], [], pause)
    if sys.stdin in ready and not sys.stdin.read(1):
        break
    for side, end in enumerate(ends):
        if end in ready:
            packet = os.read(end, 1 << 16)
            if rng.random() >= lost:
                heapq.heappush(waiting, (time.monotonic() + delays[side], next(order), ends[1 - side], packet))
    while waiting and waiting[0][0] <= time.monotonic():
        _, _, end, packet = heapq.heappop(waiting)
        try:
            os.write(end, packet)
        except OSError:
            pass  # A full queue loses packets too.
