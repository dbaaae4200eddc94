"""Clients that ask for something large and read a byte of it a second, which Node cannot be: their receive buffers are
the smallest that the system gives, so that what they leave unread stays with whom they ask.

python3 slow_readers.py PORT COUNT PATH ADDRESSES

COUNT connections from ADDRESSES loopback addresses (127.0.1.1 and on) ask for PATH. Prints `asked` once all have, then
after each second how many have been answered and how many ended, and stops when its standard input closes.
"""
import select
import socket
import sys
import time

port, count, path, addresses = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
HEAD = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
open_ones = []
for number in range(count):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    index = number % addresses
    one.bind((f"127.0.{1 + index // 250}.{1 + index % 250}", 0))
    one.connect(("127.0.0.1", port))
    one.sendall(HEAD)
    one.setblocking(False)
    open_ones.append(one)
print("asked", flush=True)

answered = set()
ended = 0
while True:
    due = time.monotonic() + 1
    for one in list(open_ones):
        try:
            got = one.recv(1)
        except BlockingIOError:
            continue
        except OSError:
            got = b""
        if got:
            answered.add(one)
            continue
        ended += 1
        open_ones.remove(one)
        one.close()
    print(f"{len(answered)} {ended}", flush=True)
    wait = max(0, due - time.monotonic())
    if select.select([sys.stdin], [], [], wait)[0]:
        break
