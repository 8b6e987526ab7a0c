/** `draw` lays a dashboard out as Grafana does; `empty` names the panels that have drawn nothing. */

import { dateTime, type FieldConfigSource, getFieldDisplayValues, renderTextPanelMarkdown, ThemeContext } from "@grafana/data";
import type { RowPanel } from "@grafana/schema";
import { BigValue, GlobalStyles, PanelChrome, TimeSeries, VizRepeater } from "@grafana/ui";
import type { ReactNode } from "react";
import { flushSync } from "react-dom";
import { createRoot } from "react-dom/client";

import type { Panel } from "./board";
import { frames, type Series, THEME } from "./frames";

/** Times in Unix seconds; the answers by the panel's number, one for each of its queries. */
type Shown = {
  board: { title: string; panels: (Panel | RowPanel)[] };
  from: number;
  to: number;
  answers: Record<string, Series[][]>;
};
type Place<Type> = { panel: Extract<Panel, { type: Type }>; shown: Shown; width: number; height: number };

const COLUMN = 58;
const ROW = 38;
const GAP = 8;

function Lines({ panel, shown, width, height }: Place<"timeseries">) {
  const [from, to] = [dateTime(shown.from * 1000), dateTime(shown.to * 1000)];
  const timeRange = { from, to, raw: { from, to } };
  const data = frames(panel, shown.answers[panel.id!]);
  if (data.length === 0) {
    return <p>No data</p>;
  }
  const options = { timeRange, timeZone: "utc", legend: panel.options.legend };
  return <TimeSeries frames={data} width={width} height={height} {...options} />;
}

function Numbers({ panel, shown, width, height }: Place<"stat">) {
  const data = frames(panel, shown.answers[panel.id!]);
  const { options } = panel;
  const fieldConfig = panel.fieldConfig as FieldConfigSource;
  const given = { data, fieldConfig, reduceOptions: options.reduceOptions, theme: THEME, timeZone: "utc" };
  const values = () => getFieldDisplayValues({ ...given, replaceVariables: (text) => text });
  return (
    <VizRepeater
      {...{ width, height, source: data, getValues: values, renderCounter: 0, autoGrid: true }}
      orientation={options.orientation}
      renderValue={({ value, width, height, count }) => (
        <BigValue {...{ width, height, count, theme: THEME, value: value.display }} {...options} />
      )}
    />
  );
}

function Words({ panel }: Place<"text">) {
  const html = renderTextPanelMarkdown(panel.options.content);
  return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: html }} />;
}

function NotDrawn() {
  return <p>Heat maps are part of Grafana's application, not of @grafana/ui.</p>;
}

const KINDS = { timeseries: Lines, stat: Numbers, text: Words, heatmap: NotDrawn };

function One({ panel, shown }: { panel: Panel | RowPanel; shown: Shown }) {
  const { x, y, w, h } = panel.gridPos!;
  const place = { left: x * COLUMN, top: y * ROW, width: w * COLUMN - GAP, height: h * ROW - GAP };
  if (panel.type === "row") {
    return <h4 style={{ position: "absolute", ...place }}>{panel.title}</h4>;
  }
  const Kind = KINDS[panel.type] as (at: Place<string>) => JSX.Element;
  return (
    <div style={{ position: "absolute", ...place }} data-kind={panel.type} data-title={panel.title}>
      <PanelChrome title={panel.title} description={panel.description} width={place.width} height={place.height}>
        {(width, height) => <Kind {...{ panel, shown, width, height } as Place<string>} />}
      </PanelChrome>
    </div>
  );
}

function Drawn({ shown }: { shown: Shown }) {
  const { title, panels } = shown.board;
  const bottom = Math.max(...panels.map(({ gridPos }) => gridPos!.y + gridPos!.h));
  return (
    <>
      <h2 style={{ margin: GAP }}>{title}</h2>
      <div style={{ position: "relative", margin: GAP, height: bottom * ROW }}>
        {panels.map((panel) => (
          <One key={panel.id} panel={panel} shown={shown} />
        ))}
      </div>
    </>
  );
}

function show(children: ReactNode) {
  const themed = (
    <ThemeContext.Provider value={THEME}>
      <GlobalStyles />
      {children}
    </ThemeContext.Provider>
  );
  flushSync(() => root.render(themed));
}

/** Whether there are lines between the axes; the grid there is all but transparent. */
function painted(panel: Element): boolean {
  const canvas = panel.querySelector("canvas");
  const inside = panel.querySelector<HTMLElement>(".u-over");
  if (!canvas || !inside) {
    return false;
  }
  const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = inside;
  const { data } = canvas.getContext("2d")!.getImageData(offsetLeft, offsetTop, offsetWidth, offsetHeight);
  return data.filter((value, i) => i % 4 === 3 && value > 128).length > 50;
}

const HAS_DRAWN: Record<string, (panel: HTMLElement) => boolean> = {
  timeseries: (panel) => painted(panel) && panel.querySelector("[data-testid^='data-testid VizLegend']") !== null,
  stat: (panel) => /\d/.test(panel.querySelector("[data-testid*='content'], section")?.textContent ?? ""),
  text: (panel) => panel.querySelector(".markdown-html :is(p, td)") !== null,
  heatmap: () => true,
};

const root = createRoot(document.getElementById("page")!);
show(null); // the font is known from now on
Object.assign(window, {
  draw: async (shown: Shown) => {
    await document.fonts.load("12px Inter"); // labels are measured before they are drawn
    show(<Drawn key={shown.board.title} shown={shown} />);
  },
  empty: () =>
    [...document.querySelectorAll<HTMLElement>("[data-kind]")]
      .filter((panel) => !HAS_DRAWN[panel.dataset.kind!](panel))
      .map((panel) => panel.dataset.title),
});
