"""Runs the twins, loads them with one profile, checks every count and writes the result."""
