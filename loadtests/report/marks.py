"""What stands between two marks of a page that is otherwise written by hand."""


def between(page: str, name: str, text: str, by: str = "make report") -> str:
    """Return the page with `text` between the marks of `name`. Raises ValueError without these marks."""
    start, end = f"<!-- {name}: written by `{by}` -->", f"<!-- /{name} -->"
    before, found, rest = page.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no place for {name}: {start} ... {end}")
    return f"{before}{start}\n{text}\n{end}{after}"
