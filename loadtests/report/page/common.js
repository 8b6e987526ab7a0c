"use strict";

// What report.html and the live page draw alike.

// Who can be measured, from the registry in loadtests/load/subjects.py, with their styles.
const SUBJECTS = JSON.parse(document.getElementById("subjects").textContent);

// Okabe and Ito's colours, which colour-blind readers tell apart; lines and symbols differ too.
const STYLES = {
  ...SUBJECTS,
  offered: { color: "#999999", symbol: "none", dash: "solid" },
  ratio: { color: "#d55e00", symbol: "circle", dash: "solid" },
  band: { color: "#999999", symbol: "none", dash: "solid" },
  app: { color: "#e69f00" },
  "rest of the request": { color: "#e69f00" },
  mysql: { color: "#56b4e9" },
  redis: { color: "#cc79a7" },
  worker: { color: "#009e73" },
  scheduler: { color: "#f0e442" },
  pool: { color: "#f0e442" },
  outside: { color: "#999999" },
};
const UNKNOWN = { color: "#808080", symbol: "emptyRect", dash: [1, 3] };
const PARTS = ["#e69f00", "#56b4e9", "#cc79a7", "#009e73", "#f0e442", "#999999"];

const amount = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });

function number(value) {
  return value === null || value === undefined ? "-" : amount.format(value);
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Of whom nothing is known, a line is drawn all the same.
function styleNamed(name) {
  return Object.hasOwn(STYLES, name) ? STYLES[name] : UNKNOWN;
}

function isLog(described) {
  return described.scale === "log" || described.scale === "percentile";
}

// In place of a chart: its failure is its own, and is seen.
function failure(error) {
  return element("p", { class: "none failed", role: "alert" }, `This chart could not be drawn: ${error}`);
}

// In the reader's own colours. Names are words and never HTML; `text` is what a point's value is.
function tooltip(size, title, text) {
  const row = (point) => {
    const mark = element("span", { class: "mark", style: `background: ${point.color}` });
    return element("tr", {}, element("td", {}, mark, point.seriesName), element("td", { class: "number" }, text(point)));
  };
  const content = (points) => {
    const named = [points].flat().filter((point) => point.seriesName);
    return named.length ? element("div", { class: "tooltip" }, element("b", {}, title(named[0])), element("table", {}, ...named.map(row))) : "";
  };
  return {
    trigger: "axis",
    confine: true,
    backgroundColor: "var(--raised)",
    borderColor: "var(--line)",
    textStyle: { fontSize: size, color: "var(--ink)" },
    axisPointer: { type: "line", lineStyle: { color: "currentColor", opacity: 0.5 } },
    formatter: content,
  };
}

function axis(described, size) {
  const log = isLog(described);
  return {
    type: log ? "log" : described.scale,
    axisLabel: { fontSize: size, lineHeight: size * 1.2, color: "currentColor", hideOverlap: true, formatter: log ? number : undefined },
    axisLine: { show: true, lineStyle: { color: "currentColor", opacity: 0.5 } },
    axisTick: { lineStyle: { color: "currentColor", opacity: 0.5 } },
    splitLine: { lineStyle: { color: "currentColor", opacity: 0.12 } },
  };
}

function logTicks(values) {
  const powers = Array.from({ length: 25 }, (_, index) => index - 12);
  const all = powers.flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
  const first = all.findLastIndex((tick) => tick <= Math.min(...values));
  const last = all.findIndex((tick) => tick >= Math.max(...values));
  const ticks = all.slice(first, Math.max(last, first + 1) + 1);
  const tens = ticks.filter((tick) => Number.isInteger(Math.log10(tick)));
  return { min: ticks[0], max: ticks[ticks.length - 1], ticks: ticks.length > 7 ? tens : ticks };
}

function within(values, ticks) {
  return ticks.filter((tick) => tick >= values[0] && tick <= values[values.length - 1]);
}

function linearTicks(most) {
  const step = [1, 2, 5].flatMap((digit) => [0, 1, 2, 3, 4].map((power) => Number(`${digit}e${power}`)));
  const wide = step.sort((one, other) => one - other).find((each) => most / each <= 8) || most;
  return Array.from({ length: Math.floor(most / wide) + 1 }, (_, index) => index * wide);
}

// A log axis from 1, 2, 5, 10, 20, ... to another of them, with all that is drawn inside.
function fitted(made, values) {
  const { min, max, ticks } = logTicks(values.filter((value) => value > 0));
  for (const part of [made.axisLabel, made.axisTick, made.splitLine]) part.customValues = ticks;
  return { ...made, min, max };
}
