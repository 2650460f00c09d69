"""The one table, as text for a terminal or as Markdown."""

SUFFIX = {"speed": "x", "cost": "x", "more": "", "value": ""}


def _number(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}"


def _cells(row):
    suffix = SUFFIX[row.view] or f" {row.unit}"
    sign = "+" if row.view == "more" and (row.median or 0) >= 0 else ""
    values = row.values
    spread = "..".join(_number(end) for end in row.interval) if len(values) > 1 else ""
    return [
        row.workload, row.subject, row.baseline or "",
        f"{sign}{_number(row.median)}{suffix}" if values else "-", spread,
        str(row.goal or ""), row.verdict, row.note,
    ]


HEADS = ["workload", "DevFS", "against", "median", "95 %", "goal", "", "note"]


def groups(rows):
    names = list(dict.fromkeys(row.group for row in rows))
    return [(name, [row for row in rows if row.group == name]) for name in names]


def as_text(rows):
    """All columns aligned; the note, which can be long, last."""
    body = [(name, [_cells(row) for row in members]) for name, members in groups(rows)]
    all_cells = [HEADS] + [cells for _, members in body for cells in members]
    widths = [max(len(cells[i]) for cells in all_cells) for i in range(len(HEADS))]
    right = {3, 4, 5}

    def line(cells):
        return "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths))).rstrip()

    lines = [line(HEADS)]
    for name, members in body:
        lines += ["", name] + [line(cells) for cells in members]
    return "\n".join(lines) + "\n"


def as_markdown(rows):
    lines = []
    for name, members in groups(rows):
        lines += [f"### {name}", "", "| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
        lines += ["| " + " | ".join(_cells(row)) + " |" for row in members]
        lines.append("")
    return "\n".join(lines)


def summary(rows):
    """How many goals are met, and which are not."""
    goals = [row for row in rows if row.goal]
    counts = {verdict: sum(row.verdict == verdict for row in goals)
              for verdict in ("met", "unclear", "missed", "not measured")}
    lines = [", ".join(
        [f"{counts.pop('met')} of {len(goals)} goals are met"]
        + [f"{count} {verdict}" for verdict, count in counts.items() if count])]
    for verdict in ("missed", "not measured", "unclear"):
        for row in goals:
            if row.verdict == verdict:
                lines.append(
                    f"  {verdict}: {row.group}: {row.workload}, {row.subject}: "
                    f"{_number(row.median)} ({row.goal})" + (f"; {row.note}" if row.note else ""))
    return "\n".join(lines) + "\n"
