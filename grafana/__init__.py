"""Grafana's dashboards as code: `python -m grafana.build` writes `dashboards/`."""

import loadtests.bootstrap  # noqa: F401 - with it Ctrl-C ends this program quietly, too
