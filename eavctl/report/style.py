"""The style sheet of the report page."""

STYLE = """
:root { --ink: #16202c; --soft: #55606e; --line: #d9dfe6; --paper: #ffffff; --deep: #0c3e7a; --band:
  #9dbfe3;
  --warn: #7a4a00; --warn-paper: #fff6e3; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 44px 28px 72px; color: var(--ink); background:
  var(--paper);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 27px; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 4px; font-weight: 650; }
h2 { font-size: 18px; letter-spacing: -0.005em; margin: 46px 0 12px; padding-top: 14px;
  border-top: 2px solid var(--ink); font-weight: 650; overflow-wrap: anywhere; }
h3 { font-size: 13px; margin: 22px 0 8px; font-weight: 650; color: var(--soft); }
p { margin: 6px 0; max-width: 78ch; }
.soft, small { color: var(--soft); }
small { font-size: 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 600; text-align: left; overflow-wrap: anywhere; }
.grid { width: 100%; }
.grid th, .grid td { padding: 8px 16px 8px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.grid thead th { border-bottom: 1.5px solid var(--ink); vertical-align: bottom; white-space: nowrap; }
.grid th:first-child { width: 250px; }
.grid tbody th { font-weight: 500; white-space: nowrap; }
.grid .score { font-size: 20px; font-weight: 650; letter-spacing: -0.01em; margin-right: 8px; }
.grid svg { display: block; margin-top: 3px; }
.numbers th, .numbers td { padding: 5px 0 5px 16px; border-bottom: 1px solid var(--line); text-align:
  right; }
.numbers th:first-child { padding-left: 0; text-align: left; max-width: 220px; }
.numbers thead th { border-bottom: 1.5px solid var(--ink); color: var(--soft); font-size: 12px; }
.numbers tbody th { font-weight: 500; }
.numbers tr.total th, .numbers tr.total td { border-bottom: 0; border-top: 1.5px solid var(--ink);
  font-weight: 650; }
.pair { display: flex; flex-wrap: wrap; gap: 12px 48px; align-items: flex-start; }
.confusion { table-layout: auto; }
.confusion td { min-width: 46px; height: 42px; text-align: center; border: 2px solid var(--paper);
  line-height: 1.15;
  padding: 3px 2px; border-radius: 5px; }
.confusion td b { display: block; font-size: 14px; font-weight: 600; }
.confusion td small { color: inherit; font-size: 11px; }
.confusion td.right { outline: 1.5px solid var(--deep); outline-offset: -3px; }
.confusion th { font-size: 12.5px; font-weight: 500; padding: 2px 10px 2px 0; max-width: 160px; text-align:
  right; }
.confusion thead th { vertical-align: bottom; padding: 0 0 6px; text-align: center; }
.confusion thead span { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block;
  max-height: 150px; }
.confusion .corner { font-size: 11px; color: var(--soft); text-align: right; padding-right: 10px;
  white-space: nowrap; }
.notes { list-style: none; padding: 0; margin: 10px 0; }
.notes li { background: var(--warn-paper); border-left: 3px solid #d89614; color: var(--warn); padding: 6px
  12px;
  margin: 6px 0; max-width: 92ch; overflow-wrap: anywhere; }
.verdict { font-weight: 600; }
svg .rail, svg .axis { stroke: #b3bdc8; stroke-width: 1; }
svg .band { fill: var(--band); }
svg .dot { fill: var(--deep); }
svg .chance { stroke: #b25d00; stroke-width: 1.5; stroke-dasharray: 3 2; }
svg .mean { stroke: var(--ink); stroke-width: 1.5; }
svg .tick { font-size: 11px; fill: var(--soft); text-anchor: middle; }
svg.strip { width: 100%; height: auto; display: block; }
svg.strip .dot { fill-opacity: 0.85; }
svg.coverage { max-width: 100%; height: auto; --series: var(--deep); }
svg.coverage .uar { --series: #b25d00; }
svg.coverage .curve { fill: none; stroke: var(--series); stroke-width: 2; }
svg.coverage .uar .curve { stroke-dasharray: 6 3; }
svg.coverage .interval { stroke: var(--series); stroke-width: 4; stroke-opacity: 0.35; }
svg.coverage .name { font-size: 12px; fill: var(--ink); }
footer { margin-top: 56px; padding-top: 12px; border-top: 1px solid var(--line); color: var(--soft);
  font-size: 12.5px; }
@media print {
  body { padding: 0; max-width: none; font-size: 11px; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .pair, table, svg, .notes { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""
