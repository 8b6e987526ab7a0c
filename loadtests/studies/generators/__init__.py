"""This project's load generator beside others."""
