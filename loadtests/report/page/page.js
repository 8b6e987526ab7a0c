"use strict";

// Draws every panel of the page, and lists what is drawn as a table.

const TALL = 30; // rows
const INACTIVE = "#808080"; // page.css knows it
const PERCENTILES = [1, 2, 10, 100, 1000, 10000, 100000];

function percent(odds) {
  return `${amount.format(Number((100 - 100 / odds).toPrecision(6)))} %`;
}

function isEmpty(chart) {
  return chart.series.every((series) => series.values.every((value) => value === null));
}

function withSpread(series, index) {
  const value = number(series.values[index]);
  if (!series.low || series.values[index] === null || series.low[index] === series.high[index]) return value;
  return `${value} (${number(series.low[index])} to ${number(series.high[index])})`;
}

function place(chart, index) {
  const at = chart.at[index];
  if (chart.x.scale === "percentile") return percent(at);
  return typeof at === "number" ? number(at) : at;
}

function named(described) {
  return described.scale === "log" ? `${described.name}, logarithmic` : described.name;
}

function heading(chart) {
  return `${chart.title}, ${named(chart.y)}`;
}

// --- what ECharts is told ---

function yAxis(chart, size) {
  const made = axis(chart.y, size);
  if (chart.y.scale !== "log") return made;
  const drawn = chart.series.flatMap((series) => [series.values, series.low || [], series.high || []].flat());
  return fitted(made, [...drawn, chart.level]);
}

// Words break between words only: a label is as wide as its place, or as its longest word.
function labelWidth(chart, size, width) {
  const longest = Math.max(...chart.at.flatMap((label) => label.split(" ").map((word) => word.length)));
  return Math.max((width - size * 5) / chart.at.length - size, longest * size * 0.65);
}

function xTicks(chart) {
  const last = chart.at[chart.at.length - 1];
  if (chart.x.scale === "value") return linearTicks(last);
  if (chart.x.scale === "percentile") return PERCENTILES.filter((odds) => odds <= last);
  const ticks = within(chart.at, logTicks(chart.at).ticks);
  return ticks.length ? ticks : [chart.at[0], last];
}

function xAxis(chart, size, width) {
  const made = axis(chart.x, size);
  made.splitLine.show = false;
  if (chart.x.scale === "category") {
    made.data = chart.at;
    Object.assign(made.axisLabel, { interval: 0, hideOverlap: false, width: labelWidth(chart, size, width), overflow: "break" });
    return made;
  }
  made.min = chart.x.scale === "value" ? 0 : chart.at[0];
  made.max = chart.at[chart.at.length - 1];
  made.axisLabel.customValues = made.axisTick.customValues = xTicks(chart);
  if (chart.x.scale === "percentile") made.axisLabel.formatter = percent;
  return { ...made, name: named(chart.x), nameLocation: "middle", nameGap: size * 2, nameTextStyle: { fontSize: size, color: "currentColor" } };
}

function whiskers(series, at) {
  const ends = (index) => [series.low[index], series.high[index]].map((value) => ({ coord: [at(index), value] }));
  const drawn = series.values.map((value, index) => (value === null ? null : ends(index)));
  return drawn.filter((pair) => pair && pair[0].coord[1] < pair[1].coord[1]);
}

function line(chart, series) {
  const style = styleNamed(series.style);
  const category = chart.x.scale === "category";
  const at = (index) => (category ? index : chart.at[index]);
  const points = series.values.map((value, index) => [at(index), value]);
  const few = points.length <= 20;
  return {
    type: "line",
    name: series.name,
    // Where the values of several subjects lie at places of their own, a gap is not a missing value.
    data: category || chart.x.name === "seconds" ? points : points.filter(([, value]) => value !== null),
    color: style.color,
    symbol: style.symbol,
    symbolSize: few ? 9 : 5,
    showSymbol: few,
    lineStyle: { width: chart.kind === "points" ? 0 : 2.5, type: style.dash },
    markLine: series.low && {
      silent: true,
      symbol: style.symbol === "none" ? "none" : "rect",
      symbolSize: [10, 2],
      label: { show: false },
      lineStyle: { type: "solid", width: style.symbol === "none" ? 12 : 2, color: style.color },
      data: whiskers(series, at),
    },
  };
}

function bar(series, index) {
  const style = Object.hasOwn(STYLES, series.style) ? STYLES[series.style] : { color: PARTS[index % PARTS.length] };
  return { type: "bar", stack: "all", name: series.name, data: series.values, color: style.color, barMaxWidth: 48 };
}

// Lines that belong to the axes, in a series without data of its own.
function marks(chart, size) {
  const half = chart.x.scale === "log" ? Math.sqrt(chart.at[0] * chart.at[chart.at.length - 1]) : Infinity;
  const up = chart.marks.map((mark) => ({
    xAxis: mark.at,
    label: { align: mark.at > half ? "right" : "left", formatter: () => mark.text },
  }));
  const across = chart.level === undefined ? [] : [{ yAxis: chart.level, label: { show: false } }];
  return {
    type: "line",
    name: "",
    data: [],
    markLine: {
      silent: true,
      symbol: "none",
      label: { fontSize: size, color: "currentColor", opacity: 1, position: "end", distance: 3 },
      lineStyle: { color: "currentColor", opacity: 0.45, type: "solid", width: 1 },
      data: [...up, ...across],
    },
  };
}

function legendRows(chart, size, width) {
  const lengths = chart.series.map((series) => size * (3.4 + 0.6 * series.name.length));
  return Math.ceil(lengths.reduce((sum, length) => sum + length, 0) / width);
}

// Where in the chart's values a point of ECharts is: a line leaves out what is not known.
function indexOf(chart, point) {
  if (chart.kind === "bar") return point.dataIndex;
  return chart.x.scale === "category" ? point.value[0] : chart.at.indexOf(point.value[0]);
}

function titleOf(chart, point) {
  const words = place(chart, indexOf(chart, point));
  return chart.x.scale === "value" || chart.x.scale === "log" ? `${words} ${chart.x.name}` : words;
}

function valueOf(chart, point) {
  const series = chart.series.find((each) => each.name === point.seriesName);
  const [value, ...range] = withSpread(series, indexOf(chart, point)).split(" (");
  return value === "-" ? value : [`${value} ${chart.y.name}`, ...range].join(" (");
}

function options(chart, width) {
  const size = Math.max(12, 0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize));
  const bars = chart.kind === "bar";
  const top = size * (1 + 1.9 * legendRows(chart, size, width) + (chart.marks.length ? 1.2 : 0));
  const common = {
    animation: false,
    aria: { enabled: true, label: { enabled: false }, decal: { show: bars } },
    legend: {
      data: chart.series.map((series) => series.name),
      inactiveColor: INACTIVE,
      top: 0,
      left: 0,
      itemWidth: size * 2.4,
      textStyle: { fontSize: size, color: "currentColor" },
    },
    grid: { left: size * 0.5, right: size * 1.5, top, bottom: size * (chart.x.scale === "category" && !bars ? 1 : 2.5) },
    tooltip: tooltip(size, (point) => titleOf(chart, point), (point) => valueOf(chart, point)),
  };
  if (bars) {
    return {
      ...common,
      grid: { ...common.grid, bottom: size },
      xAxis: axis(chart.y, size),
      yAxis: { ...axis(chart.x, size), data: chart.at, inverse: true },
      series: chart.series.map(bar),
    };
  }
  return {
    ...common,
    xAxis: xAxis(chart, size, width),
    yAxis: yAxis(chart, size),
    series: [...chart.series.map((series) => line(chart, series)), marks(chart, size)],
  };
}

// --- what the page shows ---

function row(kind, cells, heads = []) {
  const made = cells.map((cell, index) => {
    const attributes = index ? { class: "number", "data-label": heads[index] || "" } : {};
    if (kind === "th") return element("th", { ...attributes, scope: "col" }, cell);
    return index ? element("td", attributes, cell) : element("th", { scope: "row" }, cell);
  });
  return element("tr", {}, ...made);
}

function table(chart) {
  const heads = [chart.x.name || "", ...chart.series.map((series) => series.name)];
  const rows = chart.at.map((_, index) =>
    row("td", [place(chart, index), ...chart.series.map((series) => withSpread(series, index))], heads),
  );
  const whole = element("table", {}, element("thead", {}, row("th", heads)), element("tbody", {}, ...rows));
  const tall = rows.length > TALL;
  const name = `${heading(chart)}: table`;
  const shown = element("div", { class: tall ? "wide tall" : "wide", tabindex: "0", role: "region", "aria-label": name }, whole);
  return tall ? element("div", {}, element("p", { class: "note" }, `${rows.length} rows: scroll in the table.`), shown) : shown;
}

function figure(chart, open) {
  const who = chart.series.map((series) => series.name).join(", ");
  const caption = element("figcaption", {}, heading(chart));
  if (isEmpty(chart)) {
    const reason = "Nothing to draw: no valid level has enough requests.";
    return element("figure", {}, caption, element("p", { class: "none" }, reason));
  }
  const name = `${heading(chart)}, of ${who}; the same figures are in the table below`;
  const canvas = element("div", { class: `chart ${chart.kind}`, role: "img", "aria-label": name });
  const details = element("details", {}, element("summary", {}, `${chart.title} in figures`), table(chart));
  details.open = open;
  return element("figure", {}, caption, canvas, details);
}

const shown = new Map();

function draw(canvas, chart) {
  if (!canvas.clientWidth) return;
  try {
    const drawn = echarts.getInstanceByDom(canvas) || echarts.init(canvas, null, { renderer: "svg" });
    drawn.resize();
    drawn.setOption(options(chart, canvas.clientWidth));
  } catch (error) {
    canvas.replaceWith(failure(error));
  }
}

function figureOrFailure(chart, open) {
  try {
    return figure(chart, open);
  } catch (error) {
    return element("figure", {}, failure(error));
  }
}

// Tells the first size too, so this is also what draws a chart at first.
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) if (shown.has(target)) draw(target, shown.get(target));
});

function show(root, view) {
  const charts = root.querySelector(".charts");
  const open = [...charts.children].map((each) => Boolean(each.querySelector("details[open]")));
  for (const old of charts.querySelectorAll(".chart")) {
    sizes.unobserve(old);
    shown.delete(old);
    echarts.dispose(old);
  }
  charts.replaceChildren(...view.charts.map((chart, index) => figureOrFailure(chart, Boolean(open[index]))));
  view.charts.forEach((chart, index) => {
    const canvas = charts.children[index].querySelector(".chart");
    if (!canvas) return;
    shown.set(canvas, chart);
    sizes.observe(canvas);
  });
}

const panels = JSON.parse(document.getElementById("panels").textContent);
for (const root of document.querySelectorAll("[data-panel]")) {
  const panel = panels[root.dataset.panel];
  const select = root.querySelector("select");
  show(root, panel.views[panel.default]);
  // A browser may bring back an earlier choice with the page.
  if (select) {
    select.selectedIndex = panel.default;
    select.addEventListener("change", () => show(root, panel.views[select.selectedIndex]));
  }
}
