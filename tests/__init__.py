import loadtests.bootstrap  # noqa: F401 - with it Ctrl-C ends `python -m tests.drawing` quietly, too
