"""What all dashboards have in common: links to each other, the range, and marks for runs and alerts."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from grafana.panels import SOURCE

TAG = "hot-path-twins"


class Annotation(models.AnnotationQuery):
    """With the texts, which the SDK does not know; each goes over the time in which the query has a value."""

    def __init__(self, name: str, colour: str, expr: str, title: str, body: str) -> None:
        super().__init__(name=name, datasource=SOURCE, icon_color=colour, expr=expr)
        self.texts = {"titleFormat": title, "textFormat": body, "step": "1s"}

    def to_json(self) -> dict[str, object]:
        return super().to_json() | self.texts


class Built(Builder[models.AnnotationQuery]):
    """A finished part where the SDK wants a builder."""

    def __init__(self, part: models.AnnotationQuery) -> None:
        self._part = part

    def build(self) -> models.AnnotationQuery:
        return self._part


RUNS = Annotation(
    "Runs",
    "#009e73",
    'loadtest_running{run=~"$run",profile=~"$profile"} == 1',
    "{{profile}} on {{target}}",
    "Its result, once it has ended: loadtests/results/{{run}}/report.html",
)
ALERTS = Annotation(
    "Alerts", "#cc79a7", 'ALERTS{alertstate="firing"}', "{{alertname}}", "{{job}} {{groupname}}"
)


RANGE = "now-45m"
"""A full run and its drain: shorter ones are found by their mark, and the first levels are never cut off."""


def board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """Return an empty dashboard."""
    new = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG]).readonly()
    new = (
        new.time(RANGE, "now").refresh("5s").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    )
    new = new.timepicker(dashboard.TimePicker().refresh_intervals(["1s", "5s", "30s"]))
    links = dashboard.DashboardLink("Dashboards").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    new = new.link(links.keep_time(True).include_vars(True))
    new = new.with_variable(
        dashboard.DatasourceVariable("source").label("Source").type("prometheus").description("Whose data.")
    )
    for name, label, selector in (("run", "Run", ""), ("profile", "Profile", '{run=~"$run"}')):
        query = f"label_values(loadtest_running{selector}, {name})"
        text = "While another one is loaded, nothing is drawn. Large numbers are of the whole range."
        new = new.with_variable(choice(name, label, text, query).all_value(".*"))
    return new.annotations([Built(RUNS), Built(ALERTS)])


def choice(name: str, label: str, description: str, query: str, regex: str = "") -> dashboard.QueryVariable:
    """Return a variable with the values of `query`, all of them at first."""
    every = models.VariableOption(text="All", value="$__all", selected=True)
    variable = dashboard.QueryVariable(name).label(label).description(description).query(query).regex(regex)
    variable = variable.datasource(SOURCE).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    return variable.multi(True).include_all(True).current(every).sort(models.VariableSort.ALPHABETICAL_ASC)
