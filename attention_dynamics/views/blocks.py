"""The blocks that a report is made of, and the two formats that they are written in."""

import html
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Note:
    """What a reader must not miss."""

    text: str


@dataclass(frozen=True)
class Table:
    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Figure:
    path: str  # relative to the report's folder
    caption: str


@dataclass(frozen=True)
class Link:
    path: str
    text: str


Block = Heading | Text | Note | Table | Figure | Link


def to_markdown(blocks: list[Block]) -> str:
    """GitHub's Markdown."""
    parts = []
    for block in blocks:
        match block:
            case Heading(level, text):
                parts.append("#" * level + " " + text)
            case Text(text):
                parts.append(text)
            case Note(text):
                parts.append(f"> **{text}**")
            case Table(head, rows):
                lines = [head, ["---"] * len(head), *rows]
                cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
                parts.append("\n".join("| " + " | ".join(line) + " |" for line in cells))
            case Figure(path, caption):
                parts.append(f"![{caption}]({path})\n\n{caption}")
            case Link(path, text):
                parts.append(f"[{text}]({path})")
    return "\n\n".join(parts) + "\n"


def to_html(blocks: list[Block]) -> str:
    """One page; figures and explorers are files beside it."""
    parts = []
    for block in blocks:
        match block:
            case Heading(level, text):
                parts.append(f"<h{level}>{html.escape(text)}</h{level}>")
            case Text(text):
                parts.append(f"<p>{html.escape(text)}</p>")
            case Note(text):
                parts.append(f'<p class="note">{html.escape(text)}</p>')
            case Table(head, rows):
                lines = [row_of("th", head), *(row_of("td", row) for row in rows)]
                parts.append('<div class="table"><table>\n' + "\n".join(lines) + "\n</table></div>")
            case Figure(path, caption):
                image = f'<img src="{html.escape(path)}" alt="{html.escape(caption)}">'
                note = f"<figcaption>{html.escape(caption)}</figcaption>"
                parts.append(f"<figure>{image}{note}</figure>")
            case Link(path, text):
                parts.append(f'<p><a href="{html.escape(path)}">{html.escape(text)}</a></p>')
    title = next(block.text for block in blocks if isinstance(block, Heading))
    return PAGE.format(title=html.escape(title), body="\n".join(parts))


def row_of(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; }}
body {{ max-width: 76rem; }}
h1, h2, h3 {{ line-height: 1.2; margin: 2.2rem 0 0.6rem; }}
p, figcaption {{ max-width: 46rem; }}
.note {{ border-left: 4px solid #D55E00; padding-left: 0.7rem; font-weight: 600; }}
.table {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.2rem 0.7rem; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) {{ text-align: left; }}
th {{ border-bottom: 1px solid; }}
figure {{ margin: 1.5rem 0; }}
img {{ max-width: 100%; background: white; }}
figcaption {{ font-size: 0.9rem; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
