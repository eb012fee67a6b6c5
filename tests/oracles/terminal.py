"""A person at a terminal: answers the first question of a program.

    terminal.py ANSWER PROGRAM [ARGUMENT…]

Prints what the program printed, and ends with its status.
"""

import os
import pty
import sys

child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
printed = b""
answered = False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        # How Linux says that nobody has the other end open.
        part = b""
    if not part:
        break
    printed += part
    if not answered and printed.endswith(b"] "):
        os.write(terminal, sys.argv[1].encode() + b"\n")
        answered = True
sys.stdout.buffer.write(printed.replace(b"\r\n", b"\n"))
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
