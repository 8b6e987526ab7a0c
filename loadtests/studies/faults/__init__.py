"""Faults, injected one after the other under load, and every event accounted for."""
