"""Where the async twin ends: what saturates it, how fast it empties its buffer, what an event costs."""
