// Which stream to look at: a search by the beginning of its key, and the most surprising ones now.

import { streams } from "./api.js";
import { count, label, odds, surprise } from "./format.js";

const $ = (id) => document.getElementById(id);
const SUGGESTED = 8;
const LISTED = 8;
const FULL = 6; // the least surprise at which a bar is full
const PAUSE = 150; // milliseconds after the last key stroke

/** pick(path): what is done with a stream that was picked. */
export function wireSearch(pick) {
  const [field, list] = [$("search"), $("suggestions")];
  let found = [];
  let active = -1;
  let timer = null;
  let asking = new AbortController();

  function close() {
    clearTimeout(timer);
    asking.abort();
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    mark(-1);
  }
  function mark(index) {
    active = index;
    [...list.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === index)));
    if (index < 0) field.removeAttribute("aria-activedescendant");
    else field.setAttribute("aria-activedescendant", list.children[index].id);
    list.children[index]?.scrollIntoView({ block: "nearest" });
  }
  function take(index) {
    const typed = field.value;
    if (index < 0 && !typed) return;
    // What was typed counts as a key where it is one, or where nothing else was found.
    const at = index >= 0 ? index : found.findIndex((s) => s.key === typed);
    const one = found[at] ?? { key: typed, path: encodeURIComponent(typed) };
    field.value = one.key;
    close();
    told("");
    pick(one.path);
  }
  function told(words) {
    $("search-told").textContent = words;
  }
  async function look() {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    try {
      const answer = await streams("key", SUGGESTED, field.value, signal);
      if (signal.aborted) return;
      found = answer.streams;
      list.replaceChildren(...found.map(option));
      list.hidden = !found.length;
      field.setAttribute("aria-expanded", String(found.length > 0));
      mark(-1);
      const some = `${count(found.length)} stream${found.length === 1 ? "" : "s"}`;
      told(!found.length ? "No stream begins so." : answer.more ? `The first ${some}; type on for others.` : `${some}.`);
    } catch (error) {
      if (!signal.aborted) told(error.message);
    }
  }
  function option(one, i) {
    const item = document.createElement("li");
    item.id = `suggestion-${i}`;
    item.setAttribute("role", "option");
    const [key, more] = [document.createElement("span"), document.createElement("small")];
    key.textContent = label(one.key);
    more.textContent = one.frozen ? "frozen" : `step ${count(one.step)}`;
    item.append(key, more);
    item.onpointerdown = (event) => event.preventDefault(); // the field keeps the focus
    item.onclick = () => take(i);
    return item;
  }

  field.oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE);
  };
  field.onkeydown = (event) => {
    const open = !list.hidden && found.length > 0;
    if (event.key === "ArrowDown" && !open) look();
    else if (event.key === "ArrowDown") mark(active + 1 < found.length ? active + 1 : 0);
    else if (event.key === "ArrowUp" && open) mark(active > 0 ? active - 1 : found.length - 1);
    else if (event.key === "Enter") take(open ? active : -1);
    else if (event.key === "Escape" && open) close();
    else return;
    event.preventDefault();
  };
  field.onblur = close;
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, dialog");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
}

/** The list of the most surprising streams; gives the function that asks for it anew. */
export function wireSurprising(pick) {
  const list = $("surprising");
  const rows = Array.from({ length: LISTED }, () => {
    const [item, button] = [document.createElement("li"), document.createElement("button")];
    const [key, number, bar] = ["span", "b", "i"].map((name) => document.createElement(name));
    number.className = "number";
    button.type = "button";
    button.append(key, number, bar);
    item.append(button);
    item.className = "none";
    button.disabled = true;
    button.onclick = () => pick(button.dataset.path);
    return { item, button, key, number, bar };
  });
  list.replaceChildren(...rows.map((row) => row.item));

  function show(found) {
    // What somebody points at, or has the focus in, does not move away from under them.
    if (list.matches(":hover") || list.contains(document.activeElement)) return;
    const full = Math.max(FULL, found[0]?.surprise ?? 0);
    rows.forEach(({ item, button, key, number, bar }, i) => {
      const one = found[i];
      item.className = one ? "" : "none";
      button.disabled = !one;
      key.textContent = one ? label(one.key) : "";
      number.textContent = one ? surprise(one.surprise) : "";
      button.title = one ? `${odds(one.surprise) || "no surprise"}; partition ${one.partition}` : "";
      button.dataset.path = one?.path ?? "";
      bar.style.inlineSize = `${one ? (one.surprise / full) * 100 : 0}%`;
    });
  }
  const note = $("surprising-told");
  const means = note.textContent;
  let asking = false;

  return async function refresh() {
    if (asking || $("surprising-part").hidden) return;
    asking = true;
    try {
      const answer = await streams("surprise", LISTED);
      show(answer.streams.filter((one) => one.surprise !== null));
      note.textContent = means;
    } catch (error) {
      note.textContent = `This list is old: ${error.message}`;
    }
    asking = false;
  };
}
