"""What its metrics cost the async twin."""
