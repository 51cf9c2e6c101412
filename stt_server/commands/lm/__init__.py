"""`earloop lm …`: language models estimated, mixed, tuned, measured, looked into, changed, put into bundles and into
the catalog.
"""

from __future__ import annotations

import typer

from stt_server.commands.lm import catalog
from stt_server.commands.lm.attach import attach
from stt_server.commands.lm.build import build
from stt_server.commands.lm.calibrate import calibrate
from stt_server.commands.lm.convert import convert
from stt_server.commands.lm.evaluate import evaluate
from stt_server.commands.lm.mix import mix
from stt_server.commands.lm.show import show
from stt_server.commands.lm.tune import tune
from stt_server.commands.lm.words import words

app = typer.Typer()


@app.callback()
def lm() -> None:
    """Build, mix, tune, measure, show and change language models, and put them into bundles or the catalog."""


app.command()(build)
app.command()(mix)
app.command()(tune)
app.command()(calibrate)
app.command("eval")(evaluate)
app.command()(show)
app.command()(attach)
app.command()(convert)
app.command()(words)
app.command("import")(catalog.import_model)
app.command("list")(catalog.list_models)
app.command()(catalog.remove)
