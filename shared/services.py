"""The body of `GET /api/v1/services`: what each service has sent, and what it has left."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Mode = Literal["redis", "peer", "local"]


class ServiceView(BaseModel):
    """Of one service, as far as it is remembered."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    service: str
    events: int
    """That were let through."""
    throttled: int
    """That were answered 429."""
    folded: int
    """That count on the overflow issue."""
    left: int | None
    """Events that it may send at this moment; null where it has no limit."""
    new_issues: int
    """That it has created within the window."""
    new_issues_left: int | None
    """null where it has no budget."""


class Services(BaseModel):
    """Those that have a limit or a budget, who sent most first, 1,000 at most."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    mode: Annotated[Mode | None, Field(exclude_if=lambda mode: mode is None)] = None
    """Where the rates are decided; the async twin's only."""
    services: list[ServiceView]
