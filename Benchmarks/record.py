"""Writes a run into docs/PERFORMANCE.md, between its two marks; the text around them stays."""

import datetime
import os

import plots
import table

BEGIN, END = "<!-- the run begins -->", "<!-- the run ends -->"


def write(docs, run, machine):
    path = os.path.join(docs, "PERFORMANCE.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    plots.draw(os.path.join(docs, "performance"), run.rows)
    facts = "\n".join(f"| {key} | {value} |" for key, value in machine.items())
    body = (
        f"{BEGIN}\n\n{datetime.date.today().isoformat()}, {run.rounds} rounds, "
        f"{run.seconds:.0f} s{', quick' if run.quick else ''}.\n\n| | |\n|---|---|\n{facts}\n\n"
        f"{table.as_markdown(run.rows)}\n```\n{table.summary(run.rows)}```\n\n{END}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + body + after)
