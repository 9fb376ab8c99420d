// The events of the picked stream as the page knows them, and a forecast, as columns of its charts.

const KEPT = 600;
const SHOWN = 120; // events
const FEWEST = 24; // places of a chart that has few

/** One place per event, in order; a place of its own stands for events that the page has missed. */
export class History {
  constructor() {
    this.events = []; // {at: place, ...event}; of a gap only {at}
    this.foretold = []; // {at: place, prediction, lower, upper}
    this.seeded = false; // the only event is not from the stream of events
  }

  get last() {
    return this.events.at(-1) ?? null;
  }

  /** What the stream's last event is, where no event has come yet. */
  seed(event) {
    if (this.events.length) return;
    this.add(event);
    this.seeded = true;
  }

  /** Take an event in; false where it is known. */
  add(event) {
    if (this.seeded && event.step !== this.last.step + 1) this.events = []; // what comes begins elsewhere
    this.seeded = false;
    const last = this.last;
    if (last && event.offset <= last.offset) return false;
    let at = last ? last.at + 1 : 0;
    if (last && event.step > last.step + 1) this.events.push({ at: at++, offset: last.offset, step: last.step });
    this.events.push({ ...event, at });
    this.events.splice(0, this.events.length - KEPT);
    return true;
  }

  /** steps: what was foretold after the event at this offset. */
  foretell(offset, steps) {
    const from = this.events.findLast((event) => event.offset <= offset)?.at ?? -1;
    this.foretold = steps.map((step, i) => ({ ...step, at: from + 1 + i }));
  }

  /** The places that the charts show. */
  range() {
    const end = Math.max(this.last?.at ?? 0, this.foretold.at(-1)?.at ?? 0, (this.last?.at ?? 0) + 1);
    const begin = Math.max(this.events[0]?.at ?? 0, (this.last?.at ?? 0) - SHOWN + 1);
    return [begin - 0.5, Math.max(end, begin + FEWEST) + 0.5];
  }

  /** [place, actual, predicted, lower, upper, foretold, lower, upper] of a target, oldest first. of(said, name): what
   * a prediction says of the target. */
  columns(target, of) {
    const ahead = this.foretold.length ? this.foretold : this.following();
    const rows = new Map();
    const row = (at) => rows.get(at) ?? rows.set(at, [at, ...Array(7).fill(null)]).get(at);
    for (const event of this.events) {
      const there = row(event.at);
      there[1] = event.actual?.[target] ?? null;
      if (event.expected) ["prediction", "lower", "upper"].forEach((name, i) => (there[2 + i] = of(event.expected, name)));
    }
    for (const step of ahead) {
      const there = row(step.at);
      ["prediction", "lower", "upper"].forEach((name, i) => (there[5 + i] = of(step, name)));
    }
    // A forecast goes on from the last event that it knows.
    const joint = ahead.length && rows.get(ahead[0].at - 1);
    if (joint && joint[1] !== null) joint.fill(joint[1], 5);
    return transposed([...rows.values()].sort((a, b) => a[0] - b[0]), 8);
  }

  /** [place, surprise] */
  surprises(of) {
    return transposed(this.events.map((event) => [event.at, of(event, "surprise")]), 2);
  }

  /** The prediction of the event after the last. */
  following() {
    return (this.last?.prediction ?? null) === null ? [] : [{ ...this.last, at: this.last.at + 1 }];
  }

  at(place) {
    return this.events.find((event) => event.at === place) ?? null;
  }

  /** The events' span of time that the charts show, in milliseconds. */
  span() {
    const [begin] = this.range();
    const times = this.events.filter((event) => event.at >= begin && event.ts !== undefined).map((event) => event.ts);
    return times.length ? Math.max(...times) - Math.min(...times) : 0;
  }
}

const transposed = (rows, width) => Array.from({ length: width }, (_, i) => rows.map((row) => row[i]));
