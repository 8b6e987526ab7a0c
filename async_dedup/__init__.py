"""The same promise with the database out of the request path: FastAPI, Redis, RQ, APScheduler."""
