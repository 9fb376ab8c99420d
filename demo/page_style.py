"""The report's looks: one sheet of CSS, light and dark by the reader's preference, one column on a phone."""

from loadtest.page_style import SHARED

_COLOURS = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --line: #e4e4e0; --ink: #1b1d21; --muted: #5d636d; --grid: #ececea;
  --first: #1f63c9; --band: #cfe0f8; --third: #9a7a1c; --good: #16724a; --good-back: #e3f4ea;
  --bad: #b3261e; --bad-back: #fbe6e4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121417; --card: #1a1d21; --line: #2c3138; --ink: #eceef1; --muted: #a3abb6; --grid: #282d33;
    --first: #6fa8ff; --band: #24406b; --third: #d9b44a; --good: #5fd39b; --good-back: #14332a;
    --bad: #ff8f86; --bad-back: #40201e;
  }
}
"""
_OWN = """
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.8rem 0 .4rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .8rem; }
.tile b { display: block; font-size: 1.65rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
figure { margin: .8rem 0; padding: .9rem .6rem .7rem; }
figcaption { padding: .4rem .5rem 0; font-size: .9rem; }
.note { margin-top: .7rem; font-size: .9rem; }
.scroll, .table { overflow-x: auto; }
svg { display: block; width: 100%; min-width: 36rem; height: auto; font-family: inherit; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
thead th {
  border-top: 0; padding-bottom: .2rem;
  color: var(--muted); font-size: .88rem; font-weight: 600; vertical-align: bottom;
}
thead tr + tr th { padding-top: 0; padding-bottom: .45rem; }
th[colspan="3"] { color: var(--ink); text-align: center; }
tr.sum td { border-top: 2px solid var(--muted); font-weight: 600; }
td.best { color: var(--good); font-weight: 700; }
td.best::before { content: "\\25CF"; font-size: .6em; vertical-align: .2em; margin-right: .5em; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 36rem) {
  main { padding: 1.5rem .9rem 3rem; }
  h1 { font-size: 1.55rem; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile b { font-size: 1.35rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
}
"""

CSS = _COLOURS + SHARED + _OWN
