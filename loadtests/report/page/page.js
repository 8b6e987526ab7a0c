"use strict";

// Draws every panel of the page, and lists what is drawn as a table.

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

// --- what ECharts is told ---

function yAxis(chart, size) {
  const made = axis(chart.y, size);
  if (chart.y.scale !== "log") return made;
  const drawn = chart.series.flatMap((series) => [series.values, series.low || [], series.high || []].flat());
  return fitted(made, [...drawn, chart.level]);
}

function xAxis(chart, size) {
  const made = axis(chart.x, size);
  made.splitLine.show = false;
  if (chart.x.scale === "category") {
    made.data = chart.at;
    Object.assign(made.axisLabel, { interval: 0, hideOverlap: false, width: size * 4.5, overflow: "break" });
    return made;
  }
  made.min = chart.x.scale === "value" ? 0 : chart.at[0];
  made.max = chart.at[chart.at.length - 1];
  if (chart.x.scale !== "value") {
    const ticks = chart.x.scale === "log" ? chart.at : PERCENTILES.filter((odds) => odds <= made.max);
    made.axisLabel.customValues = ticks;
    made.axisTick.customValues = ticks;
  }
  if (chart.x.scale === "percentile") {
    made.axisLabel.formatter = percent;
    return made;
  }
  return { ...made, name: chart.x.name, nameLocation: "middle", nameGap: size * 2, nameTextStyle: { fontSize: size, color: "currentColor" } };
}

function whiskers(series, at) {
  const ends = (index) => [series.low[index], series.high[index]].map((value) => ({ coord: [at(index), value] }));
  const drawn = series.values.map((value, index) => (value === null ? null : ends(index)));
  return drawn.filter((pair) => pair && pair[0].coord[1] < pair[1].coord[1]);
}

function line(chart, series) {
  const style = STYLES[series.style];
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
  const style = STYLES[series.style] || { color: PARTS[index % PARTS.length] };
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

function options(chart, width) {
  const size = Math.max(12, 0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize));
  const bars = chart.kind === "bar";
  const top = size * (1 + 1.9 * legendRows(chart, size, width) + (chart.marks.length ? 1.2 : 0));
  const common = {
    animation: false,
    aria: { enabled: true, label: { enabled: false }, decal: { show: bars } },
    legend: {
      data: chart.series.map((series) => series.name),
      selectedMode: false,
      top: 0,
      left: 0,
      itemWidth: size * 2.4,
      textStyle: { fontSize: size, color: "currentColor" },
    },
    grid: { left: size * 0.5, right: size * 1.5, top, bottom: size * (chart.x.scale === "category" && !bars ? 1 : 2.5) },
    tooltip: { trigger: "axis", confine: true, textStyle: { fontSize: size }, valueFormatter: number },
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
    xAxis: xAxis(chart, size),
    yAxis: yAxis(chart, size),
    series: [...chart.series.map((series) => line(chart, series)), marks(chart, size)],
  };
}

// --- what the page shows ---

function row(kind, cells) {
  const made = cells.map((cell, index) => {
    const attributes = index ? { class: "number" } : {};
    if (kind === "th") return element("th", { ...attributes, scope: "col" }, cell);
    return index ? element("td", attributes, cell) : element("th", { scope: "row" }, cell);
  });
  return element("tr", {}, ...made);
}

function table(chart) {
  const heads = [chart.x.name || "", ...chart.series.map((series) => series.name)];
  const rows = chart.at.map((_, index) =>
    row("td", [place(chart, index), ...chart.series.map((series) => withSpread(series, index))]),
  );
  const whole = element("table", {}, element("thead", {}, row("th", heads)), element("tbody", {}, ...rows));
  const name = `${chart.title}, ${chart.y.name}: table`;
  return element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": name }, whole);
}

function figure(chart, open) {
  const who = chart.series.map((series) => series.name).join(", ");
  const caption = element("figcaption", {}, `${chart.title}, ${chart.y.name}`);
  if (isEmpty(chart)) {
    const reason = "Nothing to draw: no valid level has enough requests.";
    return element("figure", {}, caption, element("p", { class: "none" }, reason));
  }
  const name = `${chart.title}, ${chart.y.name}, of ${who}; the same figures are in the table below`;
  const canvas = element("div", { class: `chart ${chart.kind}`, role: "img", "aria-label": name });
  const details = element("details", {}, element("summary", {}, `${chart.title} in figures`), table(chart));
  details.open = open;
  return element("figure", {}, caption, canvas, details);
}

const shown = new Map();

function draw(canvas, chart) {
  if (!canvas.clientWidth) return;
  const drawn = echarts.getInstanceByDom(canvas) || echarts.init(canvas, null, { renderer: "svg" });
  drawn.resize();
  drawn.setOption(options(chart, canvas.clientWidth));
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
  charts.replaceChildren(...view.charts.map((chart, index) => figure(chart, Boolean(open[index]))));
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
