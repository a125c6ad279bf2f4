"""Runs a program in a terminal and plays the person at it.

    terminal.py '[["shown", "typed"], ...]' PROGRAM ARGUMENT...

Waits until the terminal shows the one, types the other, and so on. Prints all that was shown; ends as the program did.
With TERMINAL_STDOUT=FILE the program's standard output goes there instead, as in `eval "$(...)"`.
"""

import json
import os
import pty
import select
import sys
import time

dialogue = json.loads(sys.argv[1])
program = sys.argv[2:]
apart = os.environ.pop("TERMINAL_STDOUT", None)

pid, terminal = pty.fork()
if pid == 0:
    if apart:
        out = os.open(apart, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
    os.execvp(program[0], program)

import fcntl
import struct
import termios

fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))

shown = b""
unread = b""
deadline = time.monotonic() + 60
while True:
    while dialogue and dialogue[0][0].encode() in unread:
        _, typed = dialogue.pop(0)
        unread = b""
        os.write(terminal, typed.encode())
    ready, _, _ = select.select([terminal], [], [], 0.1)
    if time.monotonic() > deadline:
        os.kill(pid, 9)
        break
    if not ready:
        continue
    try:
        chunk = os.read(terminal, 65536)
    except OSError:
        break
    if not chunk:
        break
    shown += chunk
    unread += chunk

sys.stdout.buffer.write(shown)
_, status = os.waitpid(pid, 0)
if dialogue:
    sys.stderr.write(f"never shown: {dialogue[0][0]}\n")
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
