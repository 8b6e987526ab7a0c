/** What must not pass. tsc also fails where an expected error is none any more, so the check can't become empty. */

import type { Board } from "./board";

type Part = Board["panels"][number];
type Lines = Extract<Part, { type: "timeseries" }>;
type Fields = NonNullable<Lines["fieldConfig"]>;
type Custom = Fields["defaults"]["custom"];
type Override = Fields["overrides"][number]["properties"][number];

// @ts-expect-error: no such setting of a dashboard's crosshair
export const crosshair = { graphTooltip: 7 } satisfies Partial<Board>;
// @ts-expect-error: no such field of a dashboard
export const title = { titel: "Twins" } satisfies Partial<Board>;
// @ts-expect-error: no such kind of panel
export const kind = { type: "graph" } satisfies Pick<Part, "type">;
// @ts-expect-error: no such way to show a legend
export const legend = { displayMode: "lists" } satisfies Partial<Lines["options"]["legend"]>;
// @ts-expect-error: an option of another kind of panel
export const option = { graphMode: "none" } satisfies Partial<Lines["options"]>;
// @ts-expect-error: a width is a number
export const width = { lineWidth: "2" } satisfies Custom;
// @ts-expect-error: no such field of a line
export const misspelt = { lineWdth: 2 } satisfies Custom;
// @ts-expect-error: no such side of a panel
export const side = { id: "custom.axisPlacement", value: "rigth" } satisfies Override;
// @ts-expect-error: no such field to override
export const field = { id: "custom.axis", value: "right" } satisfies Override;
