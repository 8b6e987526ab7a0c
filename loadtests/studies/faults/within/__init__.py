"""What is put into a process to end it, or to have a call fail, at a named step."""
