"""Runs the twins, loads them with one profile, checks every count and writes the result."""

import os
import signal
import sys

# Ctrl-C may come while a program still imports, with nothing to put in order: a KeyboardInterrupt there is a
# traceback, or lost in somebody's `except`. Of programs (`python -m`) only; a Stack takes it from there.
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
