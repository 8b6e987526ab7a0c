/** From Prometheus' answers to the frames that Grafana's components draw, with each panel's field configuration. */

import {
  applyFieldOverrides,
  createTheme,
  type DataFrame,
  FieldColorModeId,
  FieldConfigOptionsRegistry,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  FieldType,
  identityOverrideProcessor,
  renderLegendFormat,
  toDataFrame,
} from "@grafana/data";

import type { Panel } from "./board";

export const THEME = createTheme({ colors: { mode: "dark" } });
const STEP = 1000;

/** One series as Prometheus gives it: seconds, and a number as text. */
export type Series = { metric: Record<string, string>; values: [number, string][] };
type Drawn = Extract<Panel, { targets?: unknown; fieldConfig?: unknown }>;

// Grafana's own list of them is part of its application, not of its packages.
const STANDARD = ["unit", "min", "max", "decimals", "displayName", "noValue", "color", "thresholds", "mappings"];
const CUSTOM = ["axisPlacement", "axisSoftMax", "drawStyle", "fillOpacity", "lineStyle", "lineWidth", "scaleDistribution", "showPoints", "thresholdsStyle"];
const PROPERTIES = new FieldConfigOptionsRegistry(() => [
  ...STANDARD.map((path) => property(path, path, false)),
  ...CUSTOM.map((path) => property(`custom.${path}`, path, true)),
]);

function property(id: string, path: string, isCustom: boolean): FieldConfigPropertyItem {
  const unused = () => null;
  const made = { id, path, name: id, isCustom, process: identityOverrideProcessor, shouldApply: () => true };
  return { ...made, editor: unused, override: unused } as FieldConfigPropertyItem;
}

/** As the panel's plugin has it where the dashboard says nothing. */
function withDefaults(panel: Drawn): FieldConfigSource {
  const { defaults, overrides } = panel.fieldConfig as FieldConfigSource;
  const palette = { color: { mode: FieldColorModeId.PaletteClassic } };
  return { defaults: panel.type === "timeseries" ? { ...palette, ...defaults } : defaults, overrides };
}

export function frames(panel: Drawn, answers: Series[][]): DataFrame[] {
  const data = (panel.targets ?? []).flatMap((target, i) =>
    answers[i].map((series) => frame(series, target.refId, target.legendFormat)),
  );
  const replaceVariables = (text: string) => text;
  const options = { data, replaceVariables, theme: THEME, timeZone: "utc", fieldConfigRegistry: PROPERTIES };
  return applyFieldOverrides({ ...options, fieldConfig: withDefaults(panel) });
}

function frame({ metric, values }: Series, refId: string, legend: string): DataFrame {
  const config = { displayNameFromDS: renderLegendFormat(legend, metric) };
  const numbers = values.map(([, text]) => (Number.isFinite(Number(text)) ? Number(text) : null));
  return toDataFrame({
    refId,
    fields: [
      { name: "Time", type: FieldType.time, values: values.map(([at]) => at * 1000), config: { interval: STEP } },
      { name: "Value", type: FieldType.number, values: numbers, labels: metric, config },
    ],
  });
}
