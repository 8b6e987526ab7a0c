// JSON is also a TypeScript literal: written as one, line for line, tsc tells where a dashboard breaks a type.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const BOARDS = new URL("../dashboards/", import.meta.url);
const MADE = new URL("generated/", import.meta.url);

rmSync(MADE, { recursive: true, force: true });
mkdirSync(MADE);
for (const file of readdirSync(BOARDS)) {
  const json = readFileSync(new URL(file, BOARDS), "utf8").trimEnd();
  const typed = `export default ${json} satisfies import("../board").Board;\n`;
  writeFileSync(new URL(file.replace(".json", ".ts"), MADE), typed);
}
