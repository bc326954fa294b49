#!/usr/bin/env python3
"""Figures of a page, side by side as one SVG for the README. usage: picture.py INDEX.html NAME… > docs/report.svg      NAME: as in figures.json"""
import html
import json
import re
import sys

page = open(sys.argv[1]).read()
names = [figure["name"] for figure in json.loads(re.search(r'id="figures">(.*?)</script>', page, re.S).group(1))]
drawn = re.findall(r"<figure><figcaption>(.*?)</figcaption>(<svg.*?</svg>)", page, re.S)
style = (
    "text{font:12.5px system-ui,sans-serif;fill:#1f2328} .title{font-weight:600;font-size:14px} .tick,.mark{fill:#59636e} .grid{stroke:#d1d9e0}"
    "line.limit,line.mark{stroke:#59636e;stroke-dasharray:2 4} line.limit{stroke:#c21d2a} path{fill:none;stroke-width:2}"
    ".run path,.run .interval{stroke:#0a62c9} .run circle,.run.key{fill:#0a62c9} .base path,.base .interval{stroke:#8a6a00}"
    ".base path{stroke-dasharray:6 3} .base circle,.base.key{fill:#8a6a00}"
)
wide, tall = 470, 340
print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide * len(sys.argv[2:])} {tall}" role="img">')
print(f"<style>{style}</style><rect width='100%' height='100%' fill='#fff'/>")
for place, name in enumerate(sys.argv[2:]):
    title, svg = drawn[names.index(name)]
    inner = re.sub(r' (tabindex|data-series|aria-label|role)="[^"]*"', "", re.search(r"<svg[^>]*>(.*)</svg>", svg, re.S).group(1))
    print(f'<g transform="translate({wide * place},0)"><text class="title" x="10" y="20">{html.escape(html.unescape(title.split(":")[0]))}</text>')
    print(f'<g transform="translate(0,32)">{inner}</g>')
    print('<rect class="run key" x="62" y="322" width="14" height="4"/><text x="82" y="328">this run</text>')
    print('<rect class="base key" x="150" y="322" width="14" height="4"/><text x="170" y="328">the baseline</text></g>')
print("</svg>")
