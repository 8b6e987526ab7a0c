"""What is sent, when and by whom, and what came of each request."""
