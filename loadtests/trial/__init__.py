"""One trial and a whole run of them: reset, load, drain, audit, validity."""
