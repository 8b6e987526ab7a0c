"""How long what is shown takes: with LAB_SHORT=1 a part of it, to rehearse or to test."""

import os

PACE = 0.4 if os.environ.get("LAB_SHORT") else 1.0
"""By which labs and demonstrations multiply their seconds."""
