"""What the async twin holds and needs through a long outage, and through half an hour of faults."""
