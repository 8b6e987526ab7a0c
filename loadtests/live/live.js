"use strict";

// Draws the samples as they come. Lines are named in the samples: a twin, or a twin and more ("naive_sync 503", "naive_sync refused 400").

const KEPT = 600; // seconds
const GAP = 10; // seconds between two samples that no line is drawn across
const SILENCE = 8000; // milliseconds, when several samples are overdue
const RETRY = 2000;

const CHARTS = {
  p95: { scale: "log", unit: "ms", none: "No answer yet." },
  rates: { scale: "value", unit: "", none: "No answer yet." },
  failed: { scale: "value", unit: "/s", none: "No request has failed.", otherwise: 0 },
  queue: { scale: "value", unit: "", none: "Nobody with a pipeline behind the answer has run yet." },
  freshness: { scale: "value", unit: "s", none: "Nobody with a pipeline behind the answer has run yet." },
};
const OWN = {
  users: { color: "#999999", dash: [10, 3, 2, 3] },
  "first events waiting": { color: "#009e73", dash: "solid" },
  "fingerprints not flushed": { color: "#cc79a7", dash: [7, 4] },
  "oldest first event waiting": { color: "#009e73", dash: "solid" },
  "event to row, p95": { color: "#e69f00", dash: [2, 3] },
  "since the last flush": { color: "#cc79a7", dash: [7, 4] },
};
const KINDS = { 500: "solid", 503: [7, 4], timeout: [2, 3], connection: [10, 3, 2, 3], client: [2, 3] };
// Refused by the contract, for what the client sent: thin, and dotted by code.
const REFUSED = { 400: [1, 2], 405: [1, 4], 413: [1, 6], 415: [1, 2, 4, 2], 429: [1, 2, 1, 6] };
const LOOK_ONLY = "smoke"; // the profile of few requests

let samples = [];

function styleOf(name) {
  if (OWN[name]) return OWN[name];
  const [subject, kind, code] = name.split(/,? /);
  const style = styleNamed(subject);
  if (kind === "refused") return { color: style.color, dash: REFUSED[code] || [1, 3], width: 1.5 };
  return { color: style.color, dash: kind ? KINDS[kind] || [4, 2] : style.dash, width: kind === "client" ? 1.5 : 2.5 };
}

function linesOf(id) {
  const drawn = samples.flatMap((sample) => Object.entries(sample.charts[id] || {}));
  return [...new Set(drawn.filter(([, value]) => value !== null).map(([name]) => name))].sort(byTwin);
}

// Not in the order in which they came, which a reload would change.
function byTwin(one, other) {
  const order = [...Object.keys(STYLES), ...Object.keys(OWN)];
  const place = (name) => order.findIndex((start) => name.startsWith(start));
  return place(one) - place(other) || one.localeCompare(other);
}

function valueOf(sample, id, name) {
  const point = sample.charts[id];
  return point ? point[name] ?? CHARTS[id].otherwise ?? null : null;
}

// --- what ECharts is told ---

function series(id, name) {
  const { color, dash, width = 2.5 } = styleOf(name);
  const values = samples.map((sample) => valueOf(sample, id, name));
  const isGap = (index) => (values[index] ?? null) === null;
  const data = values.map((value, index) => {
    const point = [samples[index].at * 1000, value];
    // No line reaches a value between two gaps.
    return isGap(index - 1) && isGap(index + 1) ? { value: point, symbol: "circle", symbolSize: 5 } : point;
  });
  return { type: "line", name, data, color, symbol: "none", lineStyle: { width, type: dash } };
}

function options(id, names) {
  const size = Math.max(12, 0.75 * parseFloat(getComputedStyle(document.documentElement).fontSize));
  const y = axis(CHARTS[id], size);
  const x = axis({ scale: "time" }, size);
  x.splitLine.show = false;
  Object.assign(x.axisLabel, { formatter: "{HH}:{mm}:{ss}" });
  const drawn = names.map((name) => series(id, name));
  const values = names.flatMap((name) => samples.map((sample) => valueOf(sample, id, name)));
  return {
    animation: false,
    grid: { left: size * 0.5, right: size * 2, top: size, bottom: size * 0.5 },
    tooltip: tooltip(size, (point) => clock(point.value[0] / 1000), (point) => short(point.value[1] ?? null, CHARTS[id].unit)),
    xAxis: { ...x, splitNumber: 4, min: samples[0].at * 1000, max: samples[samples.length - 1].at * 1000 },
    yAxis: CHARTS[id].scale === "log" ? fitted(y, values) : { ...y, min: 0 },
    series: drawn,
  };
}

// --- what the page shows ---

function short(value, unit) {
  return value === null ? "-" : `${number(Number(value.toPrecision(3)))} ${unit}`.trim();
}

function swatch({ color, dash, width = 3 }) {
  const svg = "http://www.w3.org/2000/svg";
  const line = document.createElementNS(svg, "line");
  const dashes = dash === "solid" ? "none" : dash.join(" ");
  const attributes = { x1: 0, x2: 32, y1: 5, y2: 5, stroke: color, "stroke-width": width, "stroke-dasharray": dashes };
  for (const [key, value] of Object.entries(attributes)) line.setAttribute(key, value);
  const made = document.createElementNS(svg, "svg");
  made.setAttribute("viewBox", "0 0 32 10");
  made.setAttribute("aria-hidden", "true");
  made.append(line);
  return made;
}

// The last value that a line had, and whether it still goes on.
function entry(id, name) {
  const last = samples[samples.length - 1];
  const at = samples.findLastIndex((sample) => valueOf(sample, id, name) !== null);
  const ended = samples[at] !== last;
  const value = element("b", {}, short(valueOf(samples[at], id, name), CHARTS[id].unit));
  return element("li", ended ? { class: "past", title: `at ${clock(samples[at].at)}` } : {}, swatch(styleOf(name)), name, value);
}

function drawOrTell(id) {
  const figure = document.getElementById(id);
  figure.querySelector(".failed")?.remove();
  try {
    draw(id);
  } catch (error) {
    figure.append(failure(error));
  }
}

function draw(id) {
  const figure = document.getElementById(id);
  const [legend, canvas, none] = ["legend", "chart", "none"].map((name) => figure.querySelector(`.${name}`));
  const names = linesOf(id);
  canvas.hidden = !names.length;
  none.hidden = Boolean(names.length);
  legend.replaceChildren(...names.map((name) => entry(id, name)));
  canvas.setAttribute("aria-label", `${figure.querySelector("figcaption").textContent} over the last minutes; now in the list above`);
  if (!names.length) return;
  const chart = echarts.getInstanceByDom(canvas) || echarts.init(canvas, null, { renderer: "svg" });
  chart.resize();
  chart.setOption(options(id, names), { replaceMerge: ["series"] });
}

function drawAll() {
  // Nobody looks, and the machine has other work.
  if (!document.hidden && samples.length) Object.keys(CHARTS).forEach(drawOrTell);
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

function tell(state) {
  const last = samples.length ? clock(samples[samples.length - 1].at) : "the beginning";
  const words = {
    waiting: "Waiting for the first sample",
    live: "Live",
    lost: `No contact since ${last}, trying again`,
    ended: `The run ended at ${last}; the next one will show here by itself`,
  };
  const shown = document.getElementById("state");
  if (shown.textContent !== words[state]) shown.textContent = words[state];
  shown.dataset.state = state;
}

// One sentence that is true at any time.
function what({ load, running, step, result, charts }) {
  if (result) return result.report ? [`${result.result} The report: `, element("code", {}, result.report)] : [result.result];
  const doing = step ? `${step}; ` : "";
  if (!load && !running.length) return [`${doing}nobody is up, nobody is measured`];
  if (!load) {
    const answers = running.reduce((sum, name) => sum + ((charts.rates || {})[name] || 0), 0);
    const rest = `${short(answers, "answers/s")} to probes, to others, or of a load that has just ended`;
    return [`${doing}${running.join(", ")} up, the generator sends nothing${answers ? `; ${rest}` : ""}`];
  }
  const rate = `${short(load.rate, "answers/s")}${load.offered ? ` of ${number(load.offered)} due` : ""}`;
  const few = load.profile === LOOK_ONLY ? "; few requests, for a look only" : "";
  return [`${load.profile}, ${load.level}: ${load.subject}, ${number(load.users)} users, ${rate}${few}`];
}

function audited(twin, { acknowledged, recorded, lost, extra }) {
  const [all, there, gone, more] = [acknowledged, recorded, lost, extra].map((events) => events.toLocaleString("en-US"));
  const rest = ` of ${all} acknowledged; ${there} recorded, ${more} extra`;
  return element("li", {}, swatch(styleOf(twin)), `${twin} lost`, element("b", {}, gone), rest);
}

function broken([twin, { lost, extra, acknowledged }]) {
  if (!SUBJECTS[twin]?.promises || !(lost || extra)) return [];
  const [gone, more, all] = [lost, extra, acknowledged].map((events) => events.toLocaleString("en-US"));
  return [`${twin} lost ${gone} and doubled ${more} of ${all}`];
}

function tellAudits({ audits }) {
  const wrong = Object.entries(audits).flatMap(broken);
  const alarm = document.getElementById("alarm");
  alarm.hidden = !wrong.length;
  alarm.textContent = wrong.length ? `COUNTS ARE WRONG: ${wrong.join("; ")} acknowledged events.` : "";
  const none = element("li", {}, "What was lost is known after the first trial, from its audit.");
  const found = Object.entries(audits).sort(([one], [other]) => byTwin(one, other)).map(([twin, counts]) => audited(twin, counts));
  document.getElementById("audits").replaceChildren(...(found.length ? found : [none]));
}

const KEPT_IN = { direct: "into MySQL, without Redis", spool: "into a file, without Redis and MySQL" };

function tellIngest({ ingest }) {
  const shown = document.getElementById("ingest");
  const away = ingest && KEPT_IN[ingest.state];
  shown.hidden = !away;
  shown.textContent = away ? `Events go ${away}, since ${clock(Date.parse(ingest.since) / 1000)} (${ingest.reason})` : "";
}

// --- where the samples come from ---

function take(batch) {
  const first = batch[0].at;
  samples = samples.filter((sample) => sample.at < first);
  const before = samples[samples.length - 1];
  if (before && first - before.at > GAP) samples.push({ at: before.at + 1, charts: {} });
  samples.push(...batch);
  const last = samples[samples.length - 1];
  samples = samples.filter((sample) => sample.at > last.at - KEPT);
  document.getElementById("load").replaceChildren(...what(last));
  tellAudits(last);
  tellIngest(last);
}

let heard = Date.now();

function connect() {
  const source = new EventSource("events");
  source.addEventListener("message", ({ data }) => {
    heard = Date.now();
    take(JSON.parse(data));
    tell("live");
    drawAll();
  });
  source.addEventListener("end", () => {
    const last = samples[samples.length - 1];
    if (last && !last.result) document.getElementById("load").textContent = "It ended without a result.";
    tell("ended");
  });
  source.addEventListener("error", () => {
    if (stateNow() === "live") tell("lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY);
  });
}

function stateNow() {
  return document.getElementById("state").dataset.state;
}

for (const [id, { none }] of Object.entries(CHARTS)) {
  const canvas = element("div", { class: "chart", role: "img", hidden: "" });
  document.getElementById(id).append(element("ul", { class: "legend" }), canvas, element("p", { class: "none" }, none));
}
// A server that is stopped in its tracks keeps the connection.
setInterval(() => {
  if (stateNow() === "live" && Date.now() - heard > SILENCE) tell("lost");
}, 1000);
new ResizeObserver(drawAll).observe(document.querySelector("main"));
document.addEventListener("visibilitychange", drawAll);
tell("waiting");
connect();
