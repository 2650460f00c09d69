"""Writes a run into docs/performance/results.md, between two marks of its own."""

import datetime
import os

import plots
import table


def write(docs, run, machine, kind="host"):
    begin, end = f"<!-- {kind} run begins -->", f"<!-- {kind} run ends -->"
    path = os.path.join(docs, "performance", "results.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if kind == "host":
        plots.draw(os.path.join(docs, "performance"), run.rows)
    facts = "\n".join(f"| {key} | {value} |" for key, value in machine.items())
    body = (
        f"{begin}\n\n{datetime.date.today().isoformat()}, {run.rounds} rounds, "
        f"{run.seconds:.0f} s{', quick' if run.quick else ''}.\n\n| | |\n|---|---|\n{facts}\n\n"
        f"{table.as_markdown(run.rows)}\n```\n{table.summary(run.rows)}```\n\n{end}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + body + after)
