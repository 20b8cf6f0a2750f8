"""The style sheet of the report page: for light and dark screens, phones, and paper."""

STYLE = """
:root { color-scheme: light; --ink: #16202c; --soft: #55606e; --line: #d9dfe6; --paper: #ffffff;
  --deep: #0c3e7a; --band: #9dbfe3; --accent: #a34f00; --rail: #b3bdc8; --sheet: #f4f6f9;
  --warn: #7a4a00; --warn-paper: #fff6e3; --warn-edge: #d89614; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ink: #e4e9f0; --soft: #a2aebb; --line: #2d3743; --paper: #12171e;
    --deep: #8dbcf2; --band: #31567f; --accent: #ffab5e; --rail: #566271; --sheet: #1b222c;
    --warn: #ffd893; --warn-paper: #33280f; --warn-edge: #b98118; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 1120px; padding: 44px 28px 72px; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 27px; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 4px; font-weight: 650; }
h2 { font-size: 18px; letter-spacing: -0.005em; margin: 46px 0 12px; padding-top: 14px;
  border-top: 2px solid var(--ink); font-weight: 650; }
h3 { font-size: 13px; margin: 26px 0 8px; font-weight: 650; color: var(--soft); }
p { margin: 6px 0; max-width: 78ch; }
a { color: inherit; text-decoration-color: var(--rail); text-underline-offset: 3px; }
.soft, small { color: var(--soft); }
small { font-size: 12px; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 600; text-align: left; }
td, th { overflow-wrap: break-word; }
.grid { width: 100%; }
.grid th, .grid td { padding: 8px 16px 8px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.grid thead th { border-bottom: 1.5px solid var(--ink); vertical-align: bottom; }
.grid th:first-child { width: 230px; min-width: 120px; overflow-wrap: anywhere; }
.grid tbody th { font-weight: 500; }
.grid .score { font-size: 20px; font-weight: 650; letter-spacing: -0.01em; margin-right: 8px; }
.grid small { white-space: nowrap; }
.grid svg { display: block; margin-top: 3px; }
.numbers th, .numbers td { padding: 5px 0 5px 16px; border-bottom: 1px solid var(--line);
  text-align: right; }
.numbers th:first-child { padding-left: 0; text-align: left; min-width: 90px; max-width: 220px;
  overflow-wrap: anywhere; }
.numbers td { white-space: nowrap; }
.numbers thead th { border-bottom: 1.5px solid var(--ink); color: var(--soft); font-size: 12px; }
.numbers tbody th { font-weight: 500; }
.numbers tr.total th, .numbers tr.total td { border-bottom: 0; border-top: 1.5px solid var(--ink);
  font-weight: 650; }
.pair { display: flex; flex-wrap: wrap; gap: 12px 32px; align-items: flex-start; }
.pair > * { min-width: 0; max-width: 100%; }
.facts { display: grid; grid-template-columns: minmax(90px, 150px) minmax(0, 1fr); gap: 5px 20px;
  margin: 10px 0; }
.facts dt { color: var(--soft); font-size: 13px; padding-top: 1px; }
.facts dd { margin: 0; max-width: 84ch; }
.facts dd > div + div { margin-top: 3px; }
.paper { border-left: 3px solid var(--deep); padding: 2px 0 2px 16px; margin: 14px 0; max-width: 80ch; }
pre { background: var(--sheet); border-radius: 6px; padding: 10px 14px; margin: 4px 0; font-size: 12.5px;
  line-height: 1.6; white-space: pre-wrap; overflow-wrap: anywhere;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.confusion { --size: clamp(24px, calc(640px / var(--n)), 46px); }
.confusion td { min-width: var(--size); height: calc(var(--size) * 0.92); text-align: center;
  border: 2px solid var(--paper); line-height: 1.15; padding: 3px 2px; border-radius: 5px; }
.confusion td b { display: block; font-size: clamp(10px, calc(170px / var(--n)), 14px); font-weight: 600; }
.confusion td small { color: inherit; font-size: clamp(9px, calc(130px / var(--n)), 11px); }
.confusion td.right { outline: 1.5px solid var(--deep); outline-offset: -3px; }
.confusion th { font-size: 12.5px; font-weight: 500; padding: 2px 10px 2px 0; max-width: 160px;
  text-align: right; overflow-wrap: anywhere; }
.confusion tbody th { min-width: 92px; }
.confusion thead th { vertical-align: bottom; padding: 0 0 6px; text-align: center; }
.confusion thead span { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block;
  max-height: 190px; }
.confusion .corner { font-size: 11px; color: var(--soft); text-align: right; padding-right: 10px; }
.notes { list-style: none; padding: 0; margin: 10px 0; }
.notes li { background: var(--warn-paper); border-left: 3px solid var(--warn-edge); color: var(--warn);
  padding: 6px 12px; margin: 6px 0; max-width: 92ch; }
.verdict { font-weight: 600; }
svg .rail, svg .axis { stroke: var(--rail); stroke-width: 1; }
svg .band { fill: var(--band); }
svg .dot { fill: var(--deep); }
svg .worst { fill: var(--accent); }
svg .lead { stroke: var(--accent); stroke-width: 1; }
svg .chance { stroke: var(--accent); stroke-width: 1.5; stroke-dasharray: 3 2; }
svg .mean { stroke: var(--ink); stroke-width: 1.5; }
svg .tick { font-size: 11px; fill: var(--soft); text-anchor: middle; }
svg .end { text-anchor: end; }
svg .name { font-size: 12px; fill: var(--ink); paint-order: stroke; stroke: var(--paper);
  stroke-width: 3px; stroke-linejoin: round; }
svg .ideal { stroke: var(--rail); stroke-width: 1.5; stroke-dasharray: 5 4; }
svg .bar { fill: var(--band); }
svg .interval { stroke: var(--series, var(--deep)); stroke-width: 4; stroke-opacity: 0.35; }
svg.chart, svg.strip { max-width: 100%; height: auto; display: block; }
svg.chart { --series: var(--deep); }
svg.chart .uar { --series: var(--accent); }
svg.chart .curve { fill: none; stroke: var(--series); stroke-width: 2; }
svg.chart .uar .curve { stroke-dasharray: 6 3; }
.wide { min-width: 820px; }
svg.strip .tick, svg.strip .name { font-size: 12.5px; }
footer { margin-top: 56px; padding-top: 12px; border-top: 1px solid var(--line); color: var(--soft);
  font-size: 12.5px; }
@media (max-width: 640px) {
  body { padding: 24px 16px 48px; }
  h1 { font-size: 22px; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dt { margin-top: 10px; }
}
@page { margin: 14mm; }
@media print {
  body { padding: 0; max-width: none; font-size: 11px; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .scroll { overflow: visible; }
  .wide { min-width: 0; }
  svg.strip .tick, svg.strip .name { font-size: 14px; }
  tr, svg, pre, .notes li, .paper, .facts dd > div { break-inside: avoid; }
  h2, h3, dt { break-after: avoid; }
  p, li { orphans: 3; widows: 3; }
  a { text-decoration: none; }
  .grid { table-layout: auto; }
  .grid th, .grid td { padding: 6px 10px 6px 0; }
  .grid th:first-child { width: auto; min-width: 80px; max-width: 190px; }
  .grid svg { width: 130px; height: auto; }
  .grid .score { font-size: 15px; }
  .pair { gap: 8px 28px; }
  .confusion { table-layout: fixed; --size: calc(560px / max(var(--n), 12)); width: auto; max-width: 100%; }
  .confusion td { min-width: 0; width: var(--size); padding: 1px; border-width: 1px; }
  .confusion td b { font-size: min(11px, calc(var(--size) * 0.4)); }
  .confusion td small { font-size: min(9px, calc(var(--size) * 0.32)); }
  .confusion th, .confusion tbody th { min-width: 0; width: 96px; max-width: 96px; font-size: 10px;
    padding-right: 5px; }
  .confusion thead th { width: var(--size); }
  .confusion thead th.corner { width: 96px; font-size: 8px; }
  .numbers th, .numbers td { padding: 3px 0 3px 10px; }
}
"""
