"""`python -m grafana.build`: write every dashboard as JSON, as Grafana's provisioning reads it."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import machine, naive, pipeline, twins

FOLDER = Path(__file__).parent / "dashboards"


def files() -> dict[Path, str]:
    """Return the text of each file."""
    boards = [numbered(each.build().build()) for each in (twins, naive, pipeline, machine)]
    return {
        FOLDER / f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=1) + "\n" for board in boards
    }


def numbered(board: Dashboard) -> Dashboard:
    """Give every panel its own number, so that a link to one stays right."""
    for number, panel in enumerate(board.panels or [], 1):
        panel.id_val = number
    return board


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
