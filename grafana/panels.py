"""The few kinds of panels that the dashboards are made of: one data source, fixed colours, a text each."""

from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, text, timeseries
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models import dashboard as dashboard_models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

SOURCE = dashboard_models.DataSourceRef("prometheus", "${source}")
"""A variable of every dashboard: elsewhere the data source has another uid."""
LOADED = 'group(loadtest_running{run=~"$run",profile=~"$profile"})'
CHOSEN = f"({LOADED} or on () (group(up) unless on () group(loadtest_running)))"
"""Has a value but for the time in which another run is loaded than the chosen one."""
CORES = "suffix: cores"
COLOURS = {"naive_sync": "#d55e00", "async_dedup": "#0072b2", "client": "text", "due": "#cc79a7"}
"""The twins' as in every chart of the project; the colour-blind can tell them apart."""
LEGEND = (
    common.VizLegendOptions()
    .display_mode(models.LegendDisplayMode.LIST)
    .placement(models.LegendPlacement.BOTTOM)
    .show_legend(True)
    .calcs(["lastNotNull", "max"])
)
"""The SDK's own is hidden, and without values."""
HEIGHT = 8
POST = 'route="/api/v1/errors/log"'
OK = f'{POST},status_code="200"'


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str = "{{job}}"


def quantile(q: float, name: str, selector: str, by: str = "", window: str = "$__rate_interval") -> str:
    """Return the query for a quantile of histogram `name`, one series for each `by`."""
    labels = ", ".join(filter(None, (by, "le")))
    return f"histogram_quantile({q}, sum by ({labels}) (rate({name}_bucket{{{selector}}}[{window}])))"


def mean(name: str, selector: str, window: str = "$__rate_interval") -> str:
    """Return the query for the mean of what histogram `name` has observed."""
    total, number = (f"sum(rate({name}_{part}{{{selector}}}[{window}]))" for part in ("sum", "count"))
    return f"{total} / {number}"


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    log: bool = False,
    limit: float | None = None,
) -> timeseries.Panel:
    """Return lines over time, from zero on a linear axis; a dashed line at `limit`, in the values' unit."""
    panel = timeseries.Panel().title(title).description(description).unit(unit).datasource(SOURCE)
    panel = panel.span(12).height(HEIGHT).line_width(2).show_points(models.VisibilityMode.NEVER)
    panel = panel.tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI)).legend(LEGEND)
    if log:
        panel = panel.scale_distribution(
            common.ScaleDistributionConfig().type(models.ScaleDistribution.LOG).log(10)
        )
    else:
        panel = panel.min(0)
    for ref, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_target(ref, _of_chosen(query)).range())
    if limit is not None:
        dashes = common.GraphThresholdsStyleConfig().mode(models.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_thresholds(limit)).thresholds_style(dashes)
        panel = panel if log else panel.axis_soft_max(limit * 1.1)  # in sight also where all is well
    for name, colour in COLOURS.items():
        panel = panel.override_by_regexp(f"{name}.*", [_fixed(colour)])
    return panel


def on_the_right(panel: timeseries.Panel, legend: str, unit: str) -> timeseries.Panel:
    """Give one series its own axis, thin and grey, so that it is not taken for what the panel is about."""
    value = dashboard_models.DynamicConfigValue
    look: list[Any] = [value("unit", unit), value("custom.axisPlacement", "right"), _fixed("#999999")]
    return panel.override_by_name(legend, [*look, value("custom.lineWidth", 1), value("min", 0)])


def dashed(panel: timeseries.Panel, legends: str) -> timeseries.Panel:
    """Tell some series from others of the same colour; `legends` is a regular expression."""
    style = dashboard_models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [6, 6]})
    return panel.override_by_regexp(legends, [style])


def verdict(
    title: str, description: str, unit: str, *queries: Query, red_from: float | None = None
) -> stat.Panel:
    """Return one large number, over the whole range of the dashboard."""
    panel = stat.Panel().title(title).description(description).unit(unit).datasource(SOURCE)
    panel = panel.span(6).height(4).graph_mode(models.BigValueGraphMode.NONE).no_value("-")
    for ref, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_target(ref, query).instant())
    return panel.thresholds(_thresholds(red_from))


def cells(title: str, description: str, expr: str) -> heatmap.Panel:
    """Return a heat map of the latencies in a histogram, from 1 ms to 10 s on a logarithmic axis."""
    panel = heatmap.Panel().title(title).description(description).datasource(SOURCE).span(12).height(HEIGHT)
    panel = panel.calculate(False)
    panel = panel.y_axis(heatmap.YAxisConfig().unit("s").min(0.001).max(10))
    panel = panel.color(
        heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Viridis").steps(64)
    )
    query = _of_chosen(Query(expr, "{{le}}"))
    return panel.with_target(_target("A", query).range().format(PromQueryFormat.HEATMAP))


def guide(content: str, height: int = 4) -> text.Panel:
    panel = text.Panel().title("How to read this").description("What to look at next, by what you see here.")
    return panel.span(24).height(height).mode(TextMode.MARKDOWN).content(content)


def _of_chosen(query: Query) -> Query:
    return Query(f"({query.expr}) and on () {CHOSEN}", query.legend)


def _target(ref: str, query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(ref).expr(query.expr).legend_format(query.legend).datasource(SOURCE)


def _fixed(colour: str) -> dashboard_models.DynamicConfigValue:
    return dashboard_models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})


def _thresholds(red_from: float | None) -> dashboard.ThresholdsConfig:
    steps = [dashboard_models.Threshold(value=None, color="text")]
    if red_from is not None:
        steps.append(dashboard_models.Threshold(value=red_from, color="red"))
    return dashboard.ThresholdsConfig().mode(dashboard_models.ThresholdsMode.ABSOLUTE).steps(steps)
