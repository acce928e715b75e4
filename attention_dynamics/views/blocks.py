"""The blocks that a report is made of, and the two formats that they are written in."""

import html
import os
import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import quote

from attention_dynamics.text import printable


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Contents:
    """Links to all headings below the first level."""


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Note:
    """What a reader must not miss."""

    text: str


@dataclass(frozen=True)
class Code:
    text: str


@dataclass(frozen=True)
class Table:
    head: list[str]
    rows: list[list[str]]

    def is_number(self, column: int) -> bool:
        """Whether the column, but the first, is of numbers, which stand at the right."""
        cells = [row[column] for row in self.rows if row[column]]
        return (
            column > 0
            and bool(cells)
            and all(re.match(r"[-+<>]?\d|never|-$", cell) for cell in cells)
        )


@dataclass(frozen=True)
class Figure:
    """A picture; all paths are relative to the report's folder.

    Attributes
    ----------
    sources : of the page for other screens: a CSS media query, and the picture that it shows
    files : the same figure in other formats, by what they are called
    """

    path: str
    caption: str
    sources: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Link:
    path: str
    text: str


Block = Heading | Contents | Text | Note | Code | Table | Figure | Link


def anchors(blocks: list[Block]) -> list[tuple[Heading, str]]:
    """Each heading and its anchor, as GitHub makes them: "-1" tells a second one from the first."""
    found = []
    seen: Counter[str] = Counter()
    for block in blocks:
        if isinstance(block, Heading):
            anchor = re.sub(r"[^\w\- ]", "", block.text.lower()).replace(" ", "-")
            found.append((block, f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor))
            seen[anchor] += 1
    return found


def url_of(path: str) -> str:
    """The path as a part of a link; as bytes, since the name of a file need not be UTF-8."""
    return quote(os.fsencode(path))


def escaped(text: str) -> str:
    """As text in HTML."""
    return html.escape(printable(text))


def unmarked(text: str) -> str:
    """As text in Markdown: without HTML or links."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("](", "]\\(").replace("|", "\\|")


def in_brackets(text: str) -> str:
    """As the text of a link in Markdown."""
    return re.sub(r"[][]", r"\\\g<0>", unmarked(text))


def to_markdown(blocks: list[Block]) -> str:
    """GitHub's Markdown."""
    parts = []
    for block in blocks:
        match block:
            case Heading(level, text):
                parts.append("#" * level + " " + unmarked(text))
            case Contents():
                lines = [
                    f"{'  ' * (heading.level - 2)}- [{in_brackets(heading.text)}](#{anchor})"
                    for heading, anchor in anchors(blocks)
                    if heading.level > 1
                ]
                parts.append("\n".join(lines))
            case Text(text):
                parts.append(unmarked(text))
            case Note(text):
                parts.append(f"> **{unmarked(text)}**")
            case Code(text):
                parts.append(f"```\n{text}\n```")
            case Table(head, rows):
                ruler = ["---:" if block.is_number(i) else "---" for i in range(len(head))]
                cells = [[unmarked(cell) for cell in row] for row in (head, ruler, *rows)]
                parts.append("\n".join("| " + " | ".join(line) + " |" for line in cells))
            case Figure(path, caption, _, files):
                links = "".join(f" [{name}]({url_of(file)})" for name, file in files)
                image = f"![{in_brackets(caption)}]({url_of(path)})"
                parts.append(f"{image}\n\n{unmarked(caption)}{links}")
            case Link(path, text):
                parts.append(f"[{in_brackets(text)}]({url_of(path)})")
    return "\n\n".join(parts) + "\n"


def to_html(blocks: list[Block]) -> str:
    """One page; figures and explorers are files beside it."""
    parts = []
    headings = iter(anchors(blocks))
    for block in blocks:
        match block:
            case Heading(level, text):
                anchor = html.escape(next(headings)[1])
                parts.append(f'<h{level} id="{anchor}">{escaped(text)}</h{level}>')
            case Contents():
                items = [
                    f'<li class="level{heading.level}">{link(f"#{anchor}", heading.text)}</li>'
                    for heading, anchor in anchors(blocks)
                    if heading.level > 1
                ]
                parts.append("<nav><ul>\n" + "\n".join(items) + "\n</ul></nav>")
            case Text(text):
                parts.append(f"<p>{escaped(text)}</p>")
            case Note(text):
                parts.append(f'<p class="note">{escaped(text)}</p>')
            case Code(text):
                parts.append(f"<pre>{html.escape(text)}</pre>")
            case Table(head, rows):
                numbers = [block.is_number(i) for i in range(len(head))]
                lines = [row_of("th", head, numbers), *(row_of("td", row, numbers) for row in rows)]
                parts.append('<div class="table"><table>\n' + "\n".join(lines) + "\n</table></div>")
            case Figure(path, caption, sources, files):
                image = "".join(
                    f'<source media="{media}" srcset="{url_of(source)}">'
                    for media, source in sources
                )
                image += f'<img src="{url_of(path)}" alt="{escaped(caption)}">'
                links = "".join(" " + link(url_of(file), name) for name, file in files)
                note = f"<figcaption>{escaped(caption)}{links}</figcaption>"
                parts.append(f"<figure><picture>{image}</picture>{note}</figure>")
            case Link(path, text):
                parts.append(f"<p>{link(url_of(path), text)}</p>")
    title = next(block.text for block in blocks if isinstance(block, Heading))
    return PAGE.format(title=html.escape(title), body="\n".join(parts))


def link(url: str, text: str) -> str:
    return f'<a href="{html.escape(url)}">{escaped(text)}</a>'


def row_of(tag: str, cells: list[str], numbers: list[bool]) -> str:
    """A line of a table. What a number has in brackets is smaller, and not broken."""
    line = ""
    for cell, is_number in zip(cells, numbers):
        text = escaped(cell)
        if is_number and tag == "td":
            text = re.sub(r"(\[.*?\]|\(.*?\))", r"<small>\1</small>", text)
        line += (f'<{tag} class="number">' if is_number else f"<{tag}>") + f"{text}</{tag}>"
    return f'<tr class="first">{line}</tr>' if cells[0] else f"<tr>{line}</tr>"


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{
  color-scheme: light dark;
  --page: #ffffff; --raised: #f6f7f8; --line: #dfe2e5; --text: #1c2126; --muted: #5b656f;
  --accent: #0b62a8;
}}
@media (prefers-color-scheme: dark) {{
  :root {{
    --page: #14171a; --raised: #1d2125; --line: #33393f; --text: #e6e9ec; --muted: #9aa5af;
    --accent: #6db3f0;
  }}
}}
body {{
  font: 1rem/1.55 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 72rem; margin: 2.5rem auto; padding: 0 1rem;
}}
h1, h2, h3 {{ line-height: 1.2; text-wrap: balance; }}
h1 {{ font-size: 1.9rem; margin: 0 0 1rem; }}
h2 {{ font-size: 1.45rem; margin: 3rem 0 0.8rem; padding-top: 0.8rem; border-top: 2px solid; }}
h3 {{ font-size: 1.1rem; margin: 2rem 0 0.6rem; }}
p, figcaption, nav {{ max-width: 46rem; }}
a {{ color: var(--accent); }}
nav ul {{ columns: 2 16rem; list-style: none; margin: 1.5rem 0; padding: 0; }}
nav li {{ break-inside: avoid; }}
nav .level2 {{ font-weight: 600; }}
nav .level3 {{ padding-left: 1.2rem; }}
.note {{ border-left: 4px solid #D55E00; padding-left: 0.7rem; font-weight: 600; }}
pre {{
  font-size: 0.85rem; overflow-x: auto; padding: 0.7rem 1rem; background: var(--raised);
  border-radius: 6px;
}}
.table {{ overflow-x: auto; margin: 1rem 0; }}
table {{ border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.25rem 0.6rem; text-align: left; vertical-align: top; }}
th {{ white-space: nowrap; border-bottom: 1.5px solid; }}
.number {{ text-align: right; }}
small {{ color: var(--muted); font-size: 0.92em; white-space: nowrap; }}
td:first-child, th:first-child {{ position: sticky; left: 0; background: var(--page); }}
tr.first td {{ border-top: 1px solid var(--line); }}
figure {{ margin: 1.5rem 0 2rem; }}
img {{ width: min(100%, 58rem); height: auto; border-radius: 4px; }}
figcaption {{ font-size: 0.9rem; color: var(--muted); }}
@media (max-width: 40rem) {{
  body {{ margin: 1.2rem auto; }}
}}
@media print {{
  body {{ font-size: 10pt; max-width: none; margin: 0; }}
  h1, h2, h3 {{ break-after: avoid; }}
  figure, tr {{ break-inside: avoid; }}
  .table {{ overflow: visible; }}
  table {{ font-size: 6.5pt; }}
  th, td {{ padding: 0.1rem 0.3rem; }}
  td:first-child, th:first-child {{ position: static; }}
  a {{ color: inherit; }}
}}
</style>
</head>
<body>
{body}
</body>
</html>
"""
