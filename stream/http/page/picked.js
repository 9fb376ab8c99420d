// The stream that was picked: what is known of it, its events as they come, a forecast, a reset.

import * as api from "./api.js";
import { surprises, values } from "./charts.js";
import { confirmReset } from "./dialogs.js";
import { showEvents, showHead, symbol } from "./events.js";
import { showFacts } from "./facts.js";
import { clock, label, stamp, surprise, tick, value } from "./format.js";
import { History } from "./history.js";

const $ = (id) => document.getElementById(id);
const AGAIN = 2000; // milliseconds until a stream that is not there, or not heard of, is asked for again
const FRESH = 5000; // milliseconds after which what is known is asked for again, where no event came

let model = null; // what /v1/model said
let service = { input_topic: "", now: () => Date.now() };
let charts = null;
let picked = null; // {path, key, known, history, after: offset, target, watching: AbortController}
let drawing = false;

/** around: {input_topic, now()} of the service. */
export function wirePicked(around) {
  service = around;
  const range = () => picked?.history.range() ?? [0, 1];
  charts = {
    values: values($("stream-chart"), "Actual and predicted values", { range, name: tickOf, told: tell }),
    surprises: surprises($("surprise-chart"), "Surprise of each event", { range }),
  };
  $("close").onclick = () => (location.hash = "");
  $("reset").onclick = resetAsked;
  $("forecast-form").onsubmit = forecastAsked;
  $("target").onchange = () => {
    picked.target = $("target").value;
    draw();
  };
  $("events").ontoggle = draw;
}

/** What the model is: its task decides what is shown. */
export function modelIs(told) {
  model = told.signature;
  const numbers = model.task === "number";
  $("stream-charts").hidden = !numbers;
  $("forecast-form").hidden = model.task === "class";
  $("events").open ||= !numbers;
  $("surprising-part").hidden = model.task === "class"; // it has no surprise
  $("facts").classList.toggle("wide-last", !numbers);
  const targets = numbers ? model.targets : [];
  $("target").replaceChildren(...targets.map((name) => new Option(name, name)));
  $("target").hidden = targets.length < 2;
  $("target-name").hidden = targets.length > 1;
  $("target-name").textContent = targets[0] ?? "";
  showHead(model.task);
}

/** Show this stream, or none. path: its key, percent-encoded, or null. */
export function pick(path) {
  picked?.watching.abort();
  picked = null;
  $("nothing-picked").hidden = path !== null;
  $("picked-stream").hidden = path === null;
  if (path === null) return;
  const name = decoded(path);
  const target = model.task === "number" ? model.targets[0] : model.features[0];
  picked = { path, key: name, known: null, history: new History(), after: -1, target, watching: new AbortController() };
  $("target").value = target;
  $("picked-title").textContent = label(name);
  foretold("");
  tellAbout("");
  showFacts(model.task, null, target, of, service.now());
  draw();
  watch(picked);
  know(picked);
}

function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // bytes that are no text
  }
}

/** What a prediction says of the target that is shown. */
const of = (said, name) => (model.targets.length > 1 && model.task === "number" ? (said[name]?.[picked.target] ?? null) : (said[name] ?? null));

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end); // a page may be open for days
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });

/** Its events, for as long as it is picked. */
async function watch(mine) {
  const { signal } = mine.watching;
  while (!signal.aborted) {
    try {
      for await (const event of api.events(mine.path, mine.after, signal)) {
        if (mine.known && event.partition !== mine.known.partition) mine.history = new History();
        mine.after = event.offset;
        if (!mine.history.add(event)) continue;
        mine.known = { ...(mine.known ?? {}), ...event, event: event.actual, frozen: false };
        mine.heard = Date.now();
        draw();
      }
    } catch {
      // Gone, or not there: what know() says of it is told.
    }
    await pause(AGAIN, signal);
  }
}

/** What the service says of it now and then: the beginning, and whether it is still there. */
async function know(mine) {
  const { signal } = mine.watching;
  while (!signal.aborted) {
    try {
      if (Date.now() - (mine.heard ?? 0) > FRESH) {
        const told = await api.stream(mine.path, signal);
        if (signal.aborted) return;
        mine.missing = false;
        if (!mine.known || told.offset >= mine.known.offset) mine.known = told;
        if (told.event && !told.frozen) mine.history.seed({ ...told, actual: told.event, expected: null });
        if (!mine.told) tellAbout(elsewhere(told));
        draw();
      }
    } catch (error) {
      if (signal.aborted) return;
      mine.missing = error instanceof api.Refused;
      if (mine.missing && !mine.told) tellAbout(error.message);
    }
    await pause(AGAIN, signal);
  }
}

function elsewhere(told) {
  const others = (told.elsewhere ?? []).map((other) => other.partition);
  return others.length ? `Two producers place this key differently: partition ${others.join(", ")} has events of it, too.` : "";
}

function tellAbout(words, stays = false) {
  $("picked-told").textContent = words;
  if (picked) picked.told = stays;
}

/** At most once a frame. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (!picked) return;
    showFacts(model.task, picked.known, picked.target, of, service.now());
    if (model.task === "number") {
      picked.span = picked.history.span();
      charts.values.draw(picked.history.columns(picked.target, of));
      charts.surprises.draw(picked.history.surprises(of));
      $("forecast-legend").hidden = !picked.history.foretold.length;
      tell(null);
    }
    if ($("events").open) showEvents(model.task, picked.history, picked.target, of, service.now());
  });
}

function tickOf(place) {
  const last = picked?.history.last;
  if (!last || !Number.isInteger(place)) return "";
  if (place > last.at) return `+${place - last.at}`;
  const event = picked.history.at(place);
  return event?.ts === undefined ? "" : tick(event.ts, picked.span);
}

/** One line on what the cursor is at, or on the last event. */
function tell(index) {
  if (!picked) return;
  const { history } = picked;
  const place = index === null ? null : charts.values.now()?.data[0][index];
  const event = place === null ? history.last : history.at(place);
  const ahead = place !== null && [...history.foretold, ...(history.foretold.length ? [] : history.following())].find((s) => s.at === place);
  let line = "";
  if (event?.ts !== undefined) {
    line = `${stamp(event.ts, service.now())}  actual ${value(event.actual?.[picked.target])}`;
    if (event.expected) line += `, predicted ${interval(event.expected)}`;
    if (of(event, "surprise") !== null) line += `, surprise ${surprise(of(event, "surprise"))}`;
  } else if (ahead) line = `${place - history.last.at} ahead: ${interval(ahead)}`;
  else if (!history.last) line = "Waiting for its next event.";
  $("stream-there").textContent = line || "events between were missed";
}

const interval = (said) => `${value(of(said, "prediction"))} (${value(of(said, "lower"))} to ${value(of(said, "upper"))})`;

async function forecastAsked(event) {
  event.preventDefault();
  const mine = picked;
  const { signal } = mine.watching;
  $("forecast").disabled = true;
  try {
    const told = await api.forecast(mine.path, $("forecast-steps").valueAsNumber, signal);
    if (signal.aborted) return;
    mine.history.foretell(told.offset, told.steps);
    foretold(model.task === "symbol" ? told.steps.map((step) => symbol(step.prediction)).join(" ") : "");
    draw();
  } catch (error) {
    if (!signal.aborted) tellAbout(`No forecast: ${error.message}`, true);
  } finally {
    $("forecast").disabled = false;
  }
}

function foretold(text) {
  $("forecast-told").hidden = !text;
  $("forecast-told").textContent = text && `Forecast: ${text}`;
}

async function resetAsked() {
  const mine = picked;
  const where = service.input_topic;
  const means =
    `Its state is dropped, and its next event is its first step, predicted from nothing. The service writes a record ` +
    `without a value into ${where}, which every reader of that topic sees. It cannot be taken back.`;
  if (!(await confirmReset(label(mine.key), means)) || mine !== picked) return;
  try {
    const { placed } = await api.reset(mine.path);
    const places = Object.entries(placed).map(([partition, offset]) => `partition ${partition}, offset ${offset}`);
    tellAbout(`Reset at ${clock(service.now())} UTC: ${places.join("; ")}.`, true);
    mine.heard = 0;
  } catch (error) {
    tellAbout(`Not reset: ${error.message}`, true);
  }
}
