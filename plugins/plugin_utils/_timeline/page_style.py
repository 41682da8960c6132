# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The style of the HTML report: light and dark, a phone's width and a desk's."""

# ruff: noqa: E501 (a style sheet, grouped by what it draws)
from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#5a6576;--line:#dfe3ea;--track:#eef1f5;
--good:#17693a;--quiet:#46536a;--bad:#b3261e;--hatch:#d98a00}
@media (prefers-color-scheme:dark){:root{--bg:#12161d;--card:#1a2029;--ink:#e8ecf3;--soft:#a3aebf;--line:#2d3643;
--track:#232b36;--good:#2c8a55;--quiet:#5c6b85;--bad:#d1433a;--hatch:#f0a92e}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:72rem;margin:0 auto;padding:1.5rem 1rem 3rem}h1{margin:0;font-size:1.5rem}h2{margin:0 0 .75rem;font-size:1.1rem}
h3{margin:0;font-size:1rem}header p{margin:.5rem 0 1.25rem;color:var(--soft)}
.badge{display:inline-block;padding:.2rem .9rem;border-radius:2rem;color:#fff}
.badge.good{background:var(--good)}.badge.quiet{background:var(--quiet)}.badge.bad{background:var(--bad)}
section,.figures div{background:var(--card);border:1px solid var(--line);border-radius:.75rem}
section{padding:1rem;margin:0 0 1rem}.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:0 0 1rem}
.figures div{padding:.75rem 1rem}dt{color:var(--soft);font-size:.875rem}dd{margin:0;font-size:1.3rem;font-weight:600}
.failures{border-color:var(--bad)}article+article{margin-top:1rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.5rem 0 0;font-size:.9rem}
.row{display:grid;grid-template-columns:8rem 1fr;gap:.75rem;align-items:center;margin:.35rem 0}
.host{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;font-weight:600}
.track,.ticks{position:relative;height:2.25rem;border-radius:.35rem}.track{background:var(--track);overflow:hidden}
.ticks{height:1.4rem;font-size:.8rem;color:var(--soft)}.ticks span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.ticks span:first-child{transform:none}.ticks span:last-child{transform:translateX(-100%)}
.bar{position:absolute;top:.35rem;bottom:.35rem;min-width:3px;border-radius:.2rem;background:#64748b;color:#fff;font-size:.78rem;
font-weight:600;overflow:hidden;container-type:inline-size}
.bar span{display:block;overflow:hidden;text-overflow:ellipsis;padding:0 .35rem;line-height:1.55rem;white-space:nowrap}
@container (max-width:3.4rem){.bar span{display:none}}
.p-lock,.p-artifact,.p-stage,.p-plan{background:#2563a8}.p-block,.p-unblock{background:#96590a}.p-deltas{background:#7a3fb0}
.p-switch,.p-smoke{background:#1d7044}.p-purge{background:#a8326e}.p-recover{background:#0f6d78}.bar.bad{background:#b3261e}
i.blocked,.swatch.blocked{background:repeating-linear-gradient(45deg,var(--hatch) 0 3px,transparent 3px 8px)}
i.blocked{position:absolute;top:0;bottom:0;min-width:3px}.legend{margin:.5rem 0 0;color:var(--soft);font-size:.875rem}
.swatch{display:inline-block;width:1.5rem;height:.8rem;border:1px solid var(--line);vertical-align:middle}
.key{white-space:nowrap;margin-right:.75rem}.swatch.bar{position:static;border-radius:.2rem;min-width:0;width:.8rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}
.n{white-space:nowrap}th,td{text-align:left;padding:.4rem .75rem .4rem 0;border-top:1px solid var(--line);vertical-align:top}
thead th{border:0;color:var(--soft);font-weight:600}
@media (max-width:36rem){.row{grid-template-columns:1fr;gap:.1rem}.axis .host{display:none}.ticks span:nth-child(even){display:none}}
@media print{body{background:#fff}section{break-inside:avoid}}
"""
