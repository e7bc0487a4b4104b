"""The style sheet of the page."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #f6f8fa; --card: #ffffff; --ink: #1f2328; --faint: #59636e; --line: #d9dee3;
  --ours: #0067a3; --ours-soft: #d8ecf8; --slower: #a84300; --slower-soft: #fdeee2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0d1117; --card: #161b22; --ink: #e6edf3; --faint: #9aa5b1; --line: #2c333c;
    --ours: #56b4e9; --ours-soft: #173a52; --slower: #ff8c42; --slower-soft: #3a2416;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif;
}
main, header > div { max-width: 1180px; margin: 0 auto; padding: 0 1rem; }
header { background: var(--card); border-bottom: 1px solid var(--line); padding: 2rem 0 1rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; letter-spacing: -.02em; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; letter-spacing: -.01em; scroll-margin-top: 1rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
h1, h2, h3, p, li, dd, summary { overflow-wrap: anywhere; }
p { margin: .25rem 0 .75rem; max-width: 75ch; }
main > p:first-child { margin-top: 1.5rem; }
a { color: var(--ours); }
small, .faint { color: var(--faint); font-size: .85rem; font-weight: normal; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin-top: 1rem; font-size: .95rem; }
nav a { text-decoration: none; padding: .2rem 0; }
nav a:hover { text-decoration: underline; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 220px), 1fr));
  gap: .75rem; margin: 1.5rem 0;
}
.tile, .box, figure {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
}
.tile { padding: .9rem 1.1rem; overflow-wrap: anywhere; }
.tile b { display: block; font-size: 2rem; line-height: 1.15; color: var(--ours); }
.tile small { display: block; margin-top: .2rem; }
.tile.slower b { color: var(--slower); }
.box { padding: .9rem 1.1rem; margin: .75rem 0; overflow-wrap: anywhere; }
.box.slower { border-left: 4px solid var(--slower); }
.box ul { margin: 0; padding-left: 1.2rem; }
.pictures {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 350px), 1fr));
  gap: .75rem; align-items: start;
}
figure { margin: 0; padding: .6rem; max-width: 540px; }
figure img { display: block; width: 100%; height: auto; }
.scroll {
  overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  margin: .75rem 0; max-width: 100%;
}
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .9rem; }
th, td {
  line-height: 22px; padding: 6px 11px; text-align: right; white-space: nowrap; vertical-align: top;
  font-variant-numeric: tabular-nums; border-bottom: 1px solid var(--line);
}
thead th { color: var(--faint); font-weight: 600; font-size: .8rem; vertical-align: bottom; }
tbody:last-child tr:last-child > * { border-bottom: 0; }
.text {
  text-align: left; white-space: normal; min-width: 9.5rem; max-width: 30rem;
  overflow-wrap: break-word;
}
tr > :first-child:not([colspan]) {
  position: sticky; left: 0; z-index: 1; background: var(--card); text-align: left;
  white-space: normal; overflow-wrap: anywhere; min-width: 9.2rem; max-width: 17rem;
  font-weight: 600; border-right: 1px solid var(--line);
}
th[colspan] { text-align: left; background: var(--paper); padding: 0; }
.pin {
  position: sticky; left: 0; display: inline-block; white-space: normal; overflow-wrap: anywhere;
  max-width: min(70rem, calc(100vw - 2.2rem)); padding: .55rem .7rem .4rem; font-size: .95rem;
}
.pin small { display: block; }
.beside { position: sticky; left: 9.9rem; display: inline-block; max-width: calc(100vw - 12.8rem); }
tr.slower > td, tr.slower > th { background: var(--slower-soft) !important; }
tr.slower .ratio, .worse { color: var(--slower); font-weight: 700; }
.better { color: var(--ours); font-weight: 700; }
.share {
  background: linear-gradient(var(--ours-soft), var(--ours-soft)) no-repeat right / var(--w) 100%;
}
tr.slower > td.share {
  background: linear-gradient(var(--ours-soft), var(--ours-soft)) no-repeat right / var(--w) 100%,
    var(--slower-soft) !important;
}
dl { display: grid; grid-template-columns: minmax(6rem, auto) 1fr; gap: .3rem 1rem; margin: 0; }
dt { color: var(--faint); overflow-wrap: anywhere; }
dd { margin: 0; }
.columns {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr));
  gap: .75rem;
}
.columns .box { margin: 0; }
.box h3 { margin-top: 0; }
pre { overflow-x: auto; margin: 0; font: .9rem/1.5 ui-monospace, "Liberation Mono", monospace; }
summary { cursor: pointer; padding: .3rem 0; }
td summary { padding: 0; }
footer { color: var(--faint); font-size: .85rem; padding: 2.5rem 0 2rem; }
@media (max-width: 600px) {
  header { padding-top: 1.25rem; }
  h1 { font-size: 1.5rem; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile { padding: .7rem .8rem; }
  .tile b { font-size: 1.5rem; }
  tr > :first-child:not([colspan]) { max-width: 9.5rem; }
  th, td { padding: 6px 8px; }
}
@media print {
  .scroll { overflow: visible; }
  figure, tr { break-inside: avoid; }
}
"""
