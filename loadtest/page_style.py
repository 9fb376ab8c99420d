"""The report's looks: one sheet of CSS, light and dark by the reader's preference, one column on a phone."""

# What the reports share; a page's colours come before it, its own rules after it.
SHARED = """
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
}
p { margin: .3rem 0 .9rem; max-width: 46rem; }
.muted, figcaption { color: var(--muted); }
.verdict {
  display: inline-block; margin: .6rem 0 1.2rem; padding: .5rem .9rem; border-radius: .5rem; font-weight: 600;
  color: var(--good); background: var(--good-back);
}
.verdict.bad { color: var(--bad); background: var(--bad-back); }
.tile, figure, .table { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
.tile { padding: .9rem 1rem; }
.tile b small { font-size: .95rem; font-weight: 500; color: var(--muted); }
.tile span { display: block; color: var(--muted); font-size: .9rem; line-height: 1.4; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
th, td { padding: .45rem .75rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; font-weight: 500; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.4rem; margin: .8rem 0; }
dt { color: var(--muted); }
code { font: .92em ui-monospace, "SF Mono", Menlo, "Liberation Mono", monospace; }
"""

_COLOURS = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --line: #e4e4e0; --ink: #1b1d21; --muted: #5d636d; --grid: #ececea;
  --first: #1f63c9; --second: #16867a; --third: #b26a00; --fourth: #8a8f98;
  --good: #16724a; --good-back: #e3f4ea; --bad: #b3261e; --bad-back: #fbe6e4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121417; --card: #1a1d21; --line: #2c3138; --ink: #eceef1; --muted: #a3abb6; --grid: #282d33;
    --first: #6fa8ff; --second: #4fc7b5; --third: #e0a44a; --fourth: #7d8590;
    --good: #5fd39b; --good-back: #14332a; --bad: #ff8f86; --bad-back: #40201e;
  }
}
"""
_OWN = """
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem .4rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; }
.tile b { display: block; font-size: 1.6rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; }
figure { margin: 0; padding: .8rem .6rem .7rem; min-width: 0; }
figcaption { padding: .3rem .4rem 0; font-size: .88rem; line-height: 1.45; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
.table { overflow-x: auto; width: fit-content; max-width: 100%; }
table { border-collapse: collapse; min-width: 18rem; font-variant-numeric: tabular-nums; }
thead th { border-top: 0; color: var(--muted); font-size: .88rem; font-weight: 600; }
td.bad { color: var(--bad); font-weight: 700; }
ul { padding-left: 1.2rem; }
li { margin: .3rem 0; overflow-wrap: anywhere; font-size: .92rem; }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
@media (max-width: 48rem) {
  .charts { grid-template-columns: 1fr; }
}
@media (max-width: 36rem) {
  main { padding: 1.5rem .9rem 3rem; }
  h1 { font-size: 1.45rem; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile { padding: .7rem .75rem; }
  .tile b { font-size: 1.3rem; }
  figure { padding: .7rem .3rem .6rem; }
  th, td { padding: .4rem .5rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
}
"""

CSS = _COLOURS + SHARED + _OWN
