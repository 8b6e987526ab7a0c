"""The first version: Flask and SQLAlchemy, straight to MySQL in every request."""
