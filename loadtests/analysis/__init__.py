"""The shape of a result, and what is computed from it; nothing here starts a process."""
