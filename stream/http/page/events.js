// The last events of the picked stream as a table: numbers, symbols or classes, newest first.

import { count, moment, odds, stamp, surprise, value } from "./format.js";

const $ = (id) => document.getElementById(id);
const SHOWN = 40;
const HEADS = {
  number: ["Time (UTC)", "Actual", "Predicted", "90 % interval", "Surprise", "Step", "Offset"],
  symbol: ["Time (UTC)", "Symbol", "Expected", "Surprise", "Step", "Offset"],
  class: ["Time (UTC)", "Event", "Class after it", "Step", "Offset"],
};
const RIGHT = new Set(["Offset", "Step", "Actual", "Predicted", "90 % interval", "Surprise"]);

/** A symbol, also one that does not show. */
export function symbol(text) {
  return text === null || text === undefined ? "–" : text === "" ? "(unknown)" : /^\s+$/.test(text) ? JSON.stringify(text) : String(text);
}

/** An event of several features, without its time. */
export function features(event) {
  const named = Object.entries(event ?? {}).filter(([name]) => name !== "ts");
  return named.map(([name, x]) => `${name} ${value(x)}`).join(", ") || "–";
}

const share = (p) => `${(p * 100).toPrecision(p < 0.1 ? 2 : 3)} %`;

/** The likeliest ones of a prediction with their probabilities. */
export function likeliest(said, most = 3) {
  const pairs = said?.top ?? Object.entries(said?.probabilities ?? {}).sort((a, b) => b[1] - a[1]);
  return pairs.slice(0, most).map(([name, p]) => `${symbol(name)} ${share(p)}`).join(", ") || "–";
}

/** task: of the model; of(said, name): what is said of the target that is shown. */
export function showHead(task) {
  $("events-head").replaceChildren(
    ...HEADS[task].map((name) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      cell.className = RIGHT.has(name) ? "right" : "";
      return cell;
    }),
  );
}

/** now: of the service, epoch milliseconds. */
export function showEvents(task, history, target, of, now) {
  const last = history.events.filter((event) => event.actual !== undefined).slice(-SHOWN).reverse();
  $("events-body").replaceChildren(...last.map((event) => row(task, event, target, of, now)));
}

function row(task, event, target, of, now) {
  const line = document.createElement("tr");
  const cell = (text, className = "", title = "") => {
    const made = document.createElement("td");
    made.textContent = text;
    made.className = className;
    if (title) made.title = title;
    line.append(made);
  };
  cell(stamp(event.ts, now), "number", `${moment(event.ts)} UTC`);
  const surprising = of(event, "surprise");
  if (task === "number") {
    const { expected } = event;
    cell(value(event.actual?.[target]), "number right");
    cell(expected ? value(of(expected, "prediction")) : "–", "number right");
    cell(expected ? `${value(of(expected, "lower"))} to ${value(of(expected, "upper"))}` : "–", "number right");
    cell(surprise(surprising), "number right", odds(surprising));
  } else if (task === "symbol") {
    cell(symbol(event.actual?.[target]), "strong");
    cell(likeliest(event.expected));
    cell(surprise(surprising), "number right", odds(surprising));
  } else {
    cell(features(event.actual), "number");
    cell(likeliest(event), "strong");
  }
  cell(count(event.step), "number right");
  cell(String(event.offset), "number right");
  return line;
}
