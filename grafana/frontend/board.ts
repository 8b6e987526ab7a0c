/** What a dashboard's JSON may hold: Grafana's own types, narrowed to the kinds of panels that `panels.py` makes. */

import type * as schema from "@grafana/schema";
import type { FieldConfig as HeatmapFields, Options as Heatmap } from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen.js";
import type { Options as Stat } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen.js";
import type { Options as Text } from "@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen.js";
import type { FieldConfig as LineFields, Options as Lines } from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.js";

/** T as JSON has it: the member of an enum is its plain value. */
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

/** An override is of a standard field or, with `custom.` before it, of one of the panel's kind. */
type Override<Fields, Prefix extends string = ""> = {
  [K in keyof Fields & string]-?: { id: `${Prefix}${K}`; value: Fields[K] };
}[keyof Fields & string];
type Standard = Omit<schema.FieldConfig, "custom">;

/** Grafana's own `custom` takes any key; here only those of the panel's kind. */
type FieldConfig<Custom> = {
  defaults: Standard & { custom?: Custom };
  overrides: {
    matcher: { id: "byName" | "byRegexp"; options: string };
    properties: (Override<Standard> | Override<Custom, "custom.">)[];
  }[];
};

/** @grafana/schema has no type for Prometheus: these fields are from Grafana's documentation. */
type Target = schema.DataQuery & {
  expr: string;
  instant: boolean;
  range: boolean;
  legendFormat: string;
  format?: "heatmap";
};
/** The SDK writes the fields of an interval variable for every kind. */
type Variable = schema.VariableModel & { auto?: boolean; auto_min?: string; auto_count?: number };
type Annotation = schema.AnnotationQuery & { expr: string; step: string; titleFormat: string; textFormat: string };

type Kind<Type, Options, Custom = object> = Omit<schema.Panel, "type" | "options" | "fieldConfig" | "targets"> & {
  type: Type;
  options: Options;
  fieldConfig?: FieldConfig<Custom>;
  targets?: Target[];
};

export type Panel =
  | Kind<"timeseries", Lines, LineFields>
  | Kind<"stat", Stat>
  | Kind<"heatmap", Heatmap, HeatmapFields>
  | Kind<"text", Text>;

export type Board = Json<
  Omit<schema.Dashboard, "panels" | "annotations" | "templating"> & {
    panels: (Panel | schema.RowPanel)[];
    annotations: { list: Annotation[] };
    templating: { list?: Variable[] };
  }
>;
