"""A long line between two network interfaces: line.py NAME NAME KBIT_PER_SECOND ROUND_TRIP_MS.

Makes two TUN interfaces and carries the packets of each to the other one: at this rate, after half of the round trip. Each direction
drops what would wait for more than 200 ms, as routers do. Prints "ready" when the interfaces exist.
"""
import collections
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
MOST_WAIT = 0.2


def interface(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    return device


here, there = interface(sys.argv[1]), interface(sys.argv[2])
rate, delay = int(sys.argv[3]) * 1000 / 8, int(sys.argv[4]) / 2000
print("ready", flush=True)
other = {here: there, there: here}
free_at = {here: 0.0, there: 0.0}
under_way = {here: collections.deque(), there: collections.deque()}
poll = select.poll()
poll.register(here, select.POLLIN)
poll.register(there, select.POLLIN)
while True:
    now = time.monotonic()
    for to, packets in under_way.items():
        while packets and packets[0][0] <= now:
            try:
                os.write(to, packets.popleft()[1])
            except OSError:
                pass
    due = min((packets[0][0] for packets in under_way.values() if packets), default=now + 1)
    for source, _ in poll.poll(max(0.0, due - now) * 1000):
        try:
            packet = os.read(source, 65536)
        except OSError:
            continue
        now, to = time.monotonic(), other[source]
        begin = max(now, free_at[to])
        if begin - now <= MOST_WAIT:
            free_at[to] = begin + len(packet) / rate
            under_way[to].append((free_at[to] + delay, packet))
