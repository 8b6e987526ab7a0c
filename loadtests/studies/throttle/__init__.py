"""What the throttle and the budget of new issues do for the others, with Redis and without it."""
