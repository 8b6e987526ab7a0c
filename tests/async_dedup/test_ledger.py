"""The ledger: what it forgets, and what never."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, insert, select

from async_dedup import ledger
from shared.answer import now
from shared.model import AppliedBatch


@pytest.mark.parametrize(("kept", "left"), [(0, ["young"]), (1, ["young"]), (2, ["old", "young"])])
def test_it_forgets_what_it_has_kept_long_enough_but_never_the_newest(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, kept: int, left: list[str]
) -> None:
    """Whatever its clock says: one that is years ahead would otherwise take all."""
    monkeypatch.setattr(ledger, "ROWS", kept)
    ages = {"old": ledger.KEPT + timedelta(minutes=1), "young": ledger.KEPT - timedelta(minutes=1)}
    rows = [
        {"batch_id": name, "applied_at": now() - age, "fingerprints": 1, "events": 1}
        for name, age in ages.items()
    ]
    with engine.begin() as connection:
        connection.execute(delete(AppliedBatch))
        connection.execute(insert(AppliedBatch), rows)
    ledger.trim(engine)
    with engine.begin() as connection:
        found = connection.scalars(select(AppliedBatch.batch_id).order_by(AppliedBatch.batch_id)).all()
    assert found == left
