// The page's own loop: ask how the service does every second, and say so where it does not answer.

import * as api from "./api.js";
import { wireToken } from "./dialogs.js";
import { wireSearch, wireSurprising } from "./finder.js";
import { clock } from "./format.js";
import * as overview from "./overview.js";
import { modelIs, pick, wirePicked } from "./picked.js";

const $ = (id) => document.getElementById(id);
const EVERY = 1000; // milliseconds between two looks
const LONGEST = 5000; // where there is no answer
const SURPRISING = 3; // looks until the list is asked for again

const around = { input_topic: "", ahead: 0, now: () => Date.now() + around.ahead };
let shown = null; // the model's short fingerprint
let answered = 0; // when the service answered last, by the page's clock
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const seen = () => new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));

async function look(refresh, turn) {
  const told = await api.overview(overview.known());
  if (told.model && told.model !== shown) {
    modelIs(await api.model());
    shown = told.model;
    go();
  }
  around.input_topic = told.input_topic;
  around.ahead = told.now - Date.now();
  answered = Date.now();
  overview.show(told);
  state(told.ready ? "ready" : "not-ready", told.ready ? "ready" : `not ready${because(told)}`);
  if (turn % SURPRISING === 0) refresh(); // nobody waits for it
}

/** Why it is not ready, where the partitions do not say it themselves. */
function because(told) {
  if (told.silent_workers) return ": a worker is silent";
  if (!told.partitions.length) return ": no partition yet";
  return told.partitions.every((p) => p.phase === "live") ? ": no broker answers" : "";
}

function state(name, words) {
  $("state").dataset.state = name;
  if ($("state").textContent !== words) $("state").textContent = words; // told aloud once
}

function lost(error) {
  const stood = answered ? ` What stands here is of ${clock(answered + around.ahead)} UTC.` : "";
  const why = error instanceof api.Refused ? `The service answers: ${error.message}.` : `Connection lost: ${error.message}.`;
  const words = `${why}${stood} Trying again.`;
  if ($("lost").textContent !== words) $("lost").textContent = words; // told aloud once
  $("lost").hidden = false;
  if (answered) document.body.dataset.stale = "";
  state("lost", "connection lost");
}

function found() {
  $("lost").hidden = true;
  delete document.body.dataset.stale;
}

/** The stream that the address names: #stream=<its key, percent-encoded>; nothing that would lead to another path. */
function go() {
  const path = /^#stream=([^/\\?#]*)$/.exec(location.hash)?.[1] ?? null;
  if (shown !== null) pick(path);
}

/** Somebody chose this stream: the address names it, and the focus goes there. */
function choose(path) {
  const there = () => {
    $("picked-title").focus({ preventScroll: true });
    $("picked").scrollIntoView({ block: "nearest", behavior: "instant" });
  };
  if (location.hash === `#stream=${path}`) return there();
  addEventListener("hashchange", there, { once: true }); // after go()
  location.hash = `stream=${path}`;
}

async function run() {
  wireToken();
  overview.start();
  wirePicked(around);
  wireSearch(choose);
  const refresh = wireSurprising(choose);
  addEventListener("hashchange", go);
  let wait = EVERY;
  for (let turn = 0; ; turn++) {
    if (document.hidden) await seen();
    try {
      await look(refresh, turn);
      found();
      wait = EVERY;
    } catch (error) {
      if (!(error instanceof api.Refused || error instanceof api.Unreachable)) console.error(error);
      lost(error);
      wait = Math.min(wait * 1.5, LONGEST);
    }
    await pause(wait);
  }
}

run();
