// What is known of the picked stream, name by name.

import { features, likeliest, symbol } from "./events.js";
import { NONE, ago, clock, count, moment, odds, surprise, value } from "./format.js";

const $ = (id) => document.getElementById(id);

/** known: what the service said of it last, or null; of(said, name): what is said of the target that is shown; now: of
 * the service, epoch milliseconds. */
export function showFacts(task, known, target, of, now) {
  const list = $("facts");
  const shown = facts(task, known ?? {}, target, of, now).filter(Boolean);
  if (list.children.length !== shown.length) list.replaceChildren(...shown.map(box));
  shown.forEach(([name, text, more = "", title = ""], i) => {
    const [term, fact, small] = list.children[i].children;
    term.textContent = name;
    fact.textContent = text;
    small.textContent = more;
    list.children[i].title = title;
  });
}

/** [name, text, what stands small beside it, what is told under the pointer], or false. */
function facts(task, known, target, of, now) {
  const { partition, step, offset, ts, event } = known;
  const said = (known.prediction ?? null) !== null;
  const place = [
    ["Partition", partition === undefined ? NONE : String(partition)],
    ["Step", known.frozen ? "frozen" : count(step)],
    ["Offset", offset === undefined ? NONE : String(offset)],
    ["Last event", clock(ts), ts === undefined ? "" : ago(ts, now), ts === undefined ? "" : `${moment(ts)} UTC`],
  ];
  const surprising = ["Surprise", surprise(of(known, "surprise")), odds(of(known, "surprise"))];
  if (task === "number") {
    return [
      ...place,
      ["Actual", value(event?.[target])],
      surprising,
      ["Predicted next", value(of(known, "prediction"))],
      ["90 % interval", said ? `${value(of(known, "lower"))} to ${value(of(known, "upper"))}` : NONE],
    ];
  }
  return [
    ...place,
    ["Event", task === "class" ? features(event) : event ? symbol(event[target]) : NONE],
    task === "symbol" && surprising,
    [task === "class" ? "Class, likeliest first" : "Next, likeliest first", said ? likeliest(known) : NONE],
  ];
}

function box() {
  const made = document.createElement("div");
  made.append(...["dt", "dd", "small"].map((name) => document.createElement(name)));
  made.children[1].className = "number";
  return made;
}
