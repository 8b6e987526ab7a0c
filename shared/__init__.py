"""What both twins mean by an event, an issue and an error: imports neither twin, nor any web framework."""
