"use strict";

// What report.html and the live page draw alike.

// Okabe and Ito's colours, which colour-blind readers tell apart; lines and symbols differ too.
const STYLES = {
  naive_sync: { color: "#d55e00", symbol: "circle", dash: "solid" },
  async_dedup: { color: "#0072b2", symbol: "diamond", dash: [7, 4] },
  other: { color: "#009e73", symbol: "triangle", dash: [10, 3, 2, 3] },
  floor: { color: "#999999", symbol: "rect", dash: [2, 3] },
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

function axis(described, size) {
  const log = described.scale === "log" || described.scale === "percentile";
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

// A log axis from 1, 2, 5, 10, 20, ... to another of them, with all that is drawn inside.
function fitted(made, values) {
  const { min, max, ticks } = logTicks(values.filter((value) => value > 0));
  for (const part of [made.axisLabel, made.axisTick, made.splitLine]) part.customValues = ticks;
  return { ...made, min, max };
}
