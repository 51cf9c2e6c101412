"""`earloop models …`: bundles on this machine, and the catalog: which models there are and which of them answers."""

from __future__ import annotations

import typer

from stt_server.commands.models import answering, bundles, tracing

app = typer.Typer()
app.command("list")(bundles.list_models)
app.command()(bundles.show)
app.command()(bundles.verify)
app.command("import")(answering.import_model)
app.command()(answering.promote)
app.command()(answering.rollback)
app.command()(answering.remove)
app.command()(answering.route)
app.command()(tracing.lineage)
