"""Rows of fingerprints that a twin has seen before.

Written directly: through the API a million would take minutes. They have no stack trace and no count yet.
"""

from loadtests.load.workload import REPEATED, Mix
from loadtests.trial.reconcile import connect
from shared.settings import Settings

# Sorted as the unique index is, which spares it a million random places.
ROWS = """
INSERT INTO issues (fingerprint, service, message, times_seen, first_seen, last_seen)
WITH digits AS (SELECT 0 AS n {digits}),
numbers AS (SELECT {number} AS number FROM {places}),
messages AS (SELECT CONCAT(%s, number) AS message FROM numbers WHERE number < %s),
padded AS (SELECT RPAD(message, GREATEST(LENGTH(message), %s), '.') AS message FROM messages)
SELECT SHA2(message, 256) AS fingerprint, 'default', message, 0, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)
FROM padded
ORDER BY fingerprint
"""


def make_known(settings: Settings, mix: Mix) -> None:
    """All repeated events of the mix."""
    with connect(settings) as mysql, mysql.cursor() as cursor:
        cursor.execute(_rows(mix.fingerprints), (REPEATED, mix.fingerprints, mix.message_chars))


def _rows(size: int) -> str:
    """Return ROWS with as many places as the numbers below `size` have."""
    places = [f"p{place}" for place in range(len(str(size - 1)))]
    return ROWS.format(
        digits=" ".join(f"UNION ALL SELECT {digit}" for digit in range(1, 10)),
        number=" + ".join(f"{10**power} * {place}.n" for power, place in enumerate(places)),
        places=", ".join(f"digits {place}" for place in places),
    )
