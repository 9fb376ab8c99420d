// How the service does: header, tiles, partitions, and charts of the last minutes.

import { overTime } from "./charts.js";
import { briefly, bytes, clock, count, duration, percent, rate, short } from "./format.js";

const $ = (id) => document.getElementById(id);
const MINUTES = 10;
const TROUBLE = { halted: 0, loading: 1, origin: 1, restoring: 1, settling: 1, live: 2 };

let seconds = new Map(); // second -> what the service said of it
let columns = null; // of the charts: [second], [events], [median], [worst]
let charts = null;

/** The newest second that is known, epoch milliseconds, less two: what the last ones say may still grow. */
export const known = () => Math.max(2000, ...seconds.keys()) - 2000;

export function start() {
  const throughput = overTime($("throughput"), "Throughput over the last 10 minutes", {
    series: (colour) => [{ stroke: colour("predicted"), fill: colour("wash") }],
    values: short,
    least: 10,
    told: (at) => tell(at),
  });
  const latency = overTime($("latencies"), "Latency over the last 10 minutes", {
    series: (colour) => [{ stroke: colour("predicted") }, { stroke: colour("surprise"), width: 1 }],
    values: briefly,
    least: 0.01,
    told: () => {},
  });
  charts = { throughput, latency };
}

/** What /v1/overview said. */
export function show(told) {
  for (const second of told.seconds) seconds.set(second.at, second);
  for (const at of seconds.keys()) if (at < told.now - MINUTES * 60_000 - 5000) seconds.delete(at);
  header(told);
  tiles(told);
  partitions(told);
  draw(told.now);
}

function text(id, words) {
  const element = $(id);
  if (element.textContent !== words) element.textContent = words;
}

function header(told) {
  document.title = `${told.application_id} · statecast`;
  text("application", told.application_id);
  text("model", told.model || "–");
  text("topics", `${told.input_topic} → ${told.output_topic}`);
  text("workers", told.silent_workers ? `${told.workers - told.silent_workers} of ${told.workers} answer` : count(told.workers));
  $("workers").classList.toggle("bad", told.silent_workers > 0);
  text("as-of", `${clock(told.now)} UTC`);
}

function tiles(told) {
  const last = [...seconds.values()].sort((a, b) => b.at - a.at).filter((s) => s.at <= told.now - 1000);
  const within = (span) => last.filter((s) => s.at > told.now - span * 1000 - 1000);
  const sum = (list, name) => list.reduce((total, s) => total + s[name], 0);
  const numbers = (list, name) => list.map((s) => s[name]).filter((x) => x !== null);

  text("rate", rate(sum(within(5), "events") / 5));
  const dead = sum(within(MINUTES * 60), "dead_letters");
  text("rate-more", dead ? `${plural(dead, "dead letter")} in 10 min` : "no dead letters in 10 min");
  $("rate-more").classList.toggle("bad", dead > 0);

  const recent = numbers(within(10), "latency").sort((a, b) => a - b);
  text("latency", duration(recent[Math.floor(recent.length / 2)]));
  const worst = numbers(within(60), "latency_worst");
  text("latency-more", worst.length ? `worst ${duration(Math.max(...worst))} in a minute` : "nothing for a minute");

  const lags = told.partitions.filter((p) => p.lag !== null);
  const most = lags.reduce((a, b) => (b.lag > (a?.lag ?? 0) ? b : a), null);
  text("lag", lags.length ? large(lags.reduce((total, p) => total + p.lag, 0)) : "–");
  const unknown = told.partitions.length - lags.length;
  const where = most && told.partitions.length > 1 ? `most in partition ${most.partition}: ${count(most.lag)}` : "events that wait";
  text("lag-more", unknown ? `not known of ${count(unknown)} yet` : where);

  text("stream-count", large(told.streams));
  text("stream-count-more", `in ${plural(told.partitions.length, "partition")}`);
  text("memory", bytes(told.bank_bytes));
  text("memory-more", told.streams ? `${bytes(told.bank_bytes / told.streams)} a stream` : "no stream yet");
}

const large = (n) => (n < 1e9 ? count(n) : short(n)); // what a tile has room for
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

function partitions(told) {
  const several = told.partitions.some((p) => p.worker !== null);
  $("worker-column").hidden = !several;
  const phases = new Map();
  for (const p of told.partitions) phases.set(p.phase, (phases.get(p.phase) ?? 0) + 1);
  text("partitions-sum", [...phases].map(([phase, n]) => `${count(n)} ${phase}`).join(", ") || "none assigned");

  const rows = [...told.partitions].sort((a, b) => TROUBLE[a.phase] - TROUBLE[b.phase] || a.partition - b.partition);
  const body = $("partitions").tBodies[0];
  const wanted = rows.flatMap((p) => (p.message ? [p, { said: p.message }] : [p]));
  while (body.rows.length > wanted.length) body.deleteRow(-1);
  wanted.forEach((p, i) => {
    const row = body.rows[i] ?? body.insertRow();
    const kind = p.said === undefined ? "partition" : "message";
    if (row.className !== kind) {
      row.className = kind;
      row.replaceChildren(...(kind === "partition" ? cells() : [message()]));
    }
    if (kind === "partition") fill(row, p, several);
    else row.cells[0].textContent = p.said;
  });
}

function cells() {
  const head = document.createElement("th");
  head.scope = "row";
  const made = [head, ...Array.from({ length: 4 }, () => document.createElement("td"))];
  for (const i of [0, 2, 3, 4]) made[i].className = "number right";
  const progress = document.createElement("progress");
  made[1].append(document.createElement("span"), progress, document.createElement("small"));
  return made;
}

function message() {
  const cell = document.createElement("td");
  cell.colSpan = 5;
  return cell;
}

function fill(row, p, several) {
  const [head, phase, lag, position, worker] = row.cells;
  const [name, progress, share] = phase.children;
  head.textContent = p.partition;
  name.textContent = p.phase;
  name.className = "phase";
  name.dataset.phase = p.phase;
  progress.hidden = share.hidden = p.progress === null;
  progress.value = p.progress ?? 0;
  progress.setAttribute("aria-label", `Restored of partition ${p.partition}`);
  share.textContent = percent(p.progress);
  lag.textContent = count(p.lag);
  position.textContent = count(p.position);
  worker.textContent = p.worker ?? "";
  worker.hidden = !several;
}

function draw(now) {
  const end = Math.floor(now / 1000) - 1; // the last whole second
  const begin = end - MINUTES * 60;
  const first = Math.min(...seconds.keys()) / 1000;
  columns = [[], [], [], []];
  for (let at = begin; at <= end; at++) {
    const second = seconds.get(at * 1000);
    columns[0].push(at);
    columns[1].push(second ? second.events : at > first ? 0 : null);
    columns[2].push(second?.latency ?? null);
    columns[3].push(second?.latency_worst ?? null);
  }
  charts.throughput.draw([columns[0], columns[1]]);
  charts.latency.draw([columns[0], columns[2], columns[3]]);
  charts.throughput.label(`Throughput over the last 10 minutes; now ${$("rate").textContent} events a second`);
  charts.latency.label(`Latency over the last 10 minutes; now ${$("latency").textContent}`);
}

/** What the charts say at the cursor. */
function tell(at) {
  const there = at !== null && columns?.[0][at] !== undefined;
  const time = there ? clock(columns[0][at] * 1000) : "";
  text("throughput-there", there ? `${time}  ${count(columns[1][at])}` : "");
  text("latency-there", there ? `${time}  ${duration(columns[2][at])}, ${duration(columns[3][at])}` : "");
}
