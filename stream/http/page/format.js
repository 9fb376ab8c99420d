// How numbers and times are written: the same in every locale, times in UTC as in the service's log.

const THIN = "\u202f"; // a narrow space that does not break
export const NONE = "–";

const known = (x) => typeof x === "number" && Number.isFinite(x);

/** 1234567 -> "1 234 567" */
export function count(n) {
  return known(n) ? String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, THIN) : NONE;
}

/** Events a second: whole numbers, one decimal below ten. */
export function rate(x) {
  return known(x) && x > 0 && x < 9.95 ? x.toFixed(1) : count(x);
}

/** A value of a stream: six digits. */
export function value(x) {
  return known(x) ? String(Number(x.toPrecision(6))) : x === null || x === undefined ? NONE : String(x);
}

/** For axes: 41250 -> "41.3 k" */
export function short(x) {
  const [unit, size] = [["G", 1e9], ["M", 1e6], ["k", 1e3]].find(([, size]) => Math.abs(x) >= size) ?? ["", 1];
  return String(Number((x / size).toPrecision(4))) + (unit && THIN + unit);
}

/** A duration in seconds. */
export function duration(s) {
  if (!known(s)) return NONE;
  if (s < 0.9995) return `${s < 0.00995 ? Number((s * 1e3).toPrecision(2)) : Math.round(s * 1e3)}${THIN}ms`;
  if (s < 9.995) return `${s.toFixed(2)}${THIN}s`;
  if (s < 119.5) return `${Math.round(s)}${THIN}s`;
  if (s < 7170) return `${Math.round(s / 60)}${THIN}min`;
  return s < 172800 ? `${Math.round(s / 3600)}${THIN}h` : `${Math.round(s / 86400)}${THIN}d`;
}

/** The same for axes, without what is no news: "5 s", "250 ms", "0". */
export function briefly(s) {
  if (s === 0) return "0";
  return s < 1 ? `${Number((s * 1e3).toPrecision(4))}${THIN}ms` : `${Number(s.toPrecision(4))}${THIN}s`;
}

export function bytes(n) {
  if (!known(n)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; n >= 1024 && at < units.length - 1; at++) n /= 1024;
  return `${at && n < 99.95 ? n.toFixed(1) : Math.round(n)}${THIN}${units[at]}`;
}

export function percent(share) {
  return known(share) ? `${Math.floor(share * 100)}${THIN}%` : "";
}

/** A stream's key, also one that would not show. */
export function label(key) {
  return key.trim() === "" ? (key === "" ? "(empty key)" : JSON.stringify(key)) : key;
}

const iso = (ms) => {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
};

/** Epoch milliseconds -> "03:12:05" */
export function clock(ms) {
  return iso(ms)?.slice(11, 19) ?? NONE;
}

/** Epoch milliseconds -> "2026-11-22 03:12:05.123" */
export function moment(ms) {
  return iso(ms)?.slice(0, 23).replace("T", " ") ?? String(ms);
}

/** The same, without the day where that is today's. */
export function stamp(ms, now) {
  const [there, today] = [moment(ms), moment(now)];
  return there.slice(0, 10) === today.slice(0, 10) ? there.slice(11) : there;
}

/** A tick of a chart whose ticks lie so far apart in all, in milliseconds. */
export function tick(ms, span) {
  const text = iso(ms);
  if (!text) return "";
  if (span < 10_000) return text.slice(17, 23);
  if (span < 2 * 86_400_000) return span < 3_600_000 ? text.slice(11, 19) : text.slice(11, 16);
  return span < 60 * 86_400_000 ? text.slice(5, 16).replace("T", " ") : text.slice(0, 10);
}

/** How long before `now`, both epoch milliseconds. */
export function ago(ms, now) {
  const seconds = Math.round((now - ms) / 1000);
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${whole(seconds)} ago` : `in ${whole(-seconds)}`;
}

const whole = (s) => (s < 10 ? `${s}${THIN}s` : duration(s));

/** −log10 of a probability. */
export function surprise(x) {
  return known(x) ? (x < 99.95 ? x.toFixed(2) : x.toFixed(0)) : NONE;
}

/** The same in words, where it is worth a word: 3 -> "one in 1 000" */
export function odds(x) {
  if (!known(x) || x < 1) return "";
  return x < 9 ? `one in ${count(10 ** x)}` : `one in 10^${Math.round(x)}`;
}
