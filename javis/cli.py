"""The command line. Each command imports what it needs when it runs, so `--help` is quick."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from javis.core.errors import JavisError, UserInputError
from javis.core.settings import Settings, located

app = typer.Typer(
    help="JAVIS: a personal chat assistant that gets better from its user's thumbs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench_app = typer.Typer(help="Measure JAVIS against named references.", no_args_is_help=True)
store_app = typer.Typer(help="Look after the journal that keeps everything.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")
app.add_typer(store_app, name="store")

DataDir = Annotated[Path | None, typer.Option(help="Folder of the journal.")]
ModelsDir = Annotated[Path | None, typer.Option(help="Folder of base models and versions.")]
ExportsDir = Annotated[Path | None, typer.Option(help="Folder that exports go to.")]
Engine = Annotated[str | None, typer.Option(help="auto, llamacpp or transformers.")]
Model = Annotated[str | None, typer.Option(help="Name, hub id, folder or GGUF file.")]


def _writable(path: Path | None) -> Path | None:
    """Before hours of work whose numbers could not be written then."""
    if path is not None:
        try:
            path.open("a").close()
        except OSError as error:
            raise typer.BadParameter(f"{path} cannot be written: {error.strerror}.") from None
    return path


JsonFile = Annotated[
    Path | None,
    typer.Option("--json", help="Write the rows to this file.", callback=_writable),
]


def main() -> None:
    """Run a command; an error a user can meet ends it with one plain sentence."""
    try:
        app()
    except JavisError as error:
        typer.echo(f"javis: {error}", err=True)
        sys.exit(1)


def settings_from(**flags: Any) -> Settings:
    """Flags over environment over `.env`; a bad value is named in plain words."""
    from pydantic import ValidationError

    here = Path.cwd()
    # Of launch.py, which may be called from anywhere: its settings and folders are its own.
    home = Path(os.environ.get("JAVIS_HOME") or here)
    given = {name: value for name, value in flags.items() if value is not None}
    given |= {n: here / path.expanduser() for n, path in given.items() if isinstance(path, Path)}
    if "model" in given:
        given["model"] = located(given["model"], here)
    try:
        return Settings(**given | {"_env_file": home / ".env"}).absolute(home)
    except UnicodeDecodeError:
        typer.echo("javis: the file .env is no UTF-8 text.", err=True)
        raise typer.Exit(2) from None
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(map(str, problem["loc"]))
            typer.echo(f"javis: the setting {name} is not possible: {problem['msg']}", err=True)
        raise typer.Exit(2) from None


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no browser.")] = False,
    window: Annotated[bool, typer.Option("--window", help="Open a window of its own.")] = False,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    exports_dir: ExportsDir = None,
    engine: Engine = None,
    model: Model = None,
) -> None:
    """Start the chat and open it in the browser."""
    from javis.app import serve as run

    settings = settings_from(
        host=host,
        port=port,
        browser=False if no_browser or window else None,
        data_dir=data_dir,
        models_dir=models_dir,
        exports_dir=exports_dir,
        engine=engine,
        model=model,
    )
    run(settings, window=window)


@app.command()
def fetch(models_dir: ModelsDir = None) -> None:
    """Get the embedded model, so that later starts need no network."""
    from javis.engine.catalog import prepare_embedded

    path = prepare_embedded(settings_from(models_dir=models_dir).models_dir, typer.echo)
    typer.echo(f"The embedded model is in {path}")


@app.command()
def doctor(models_dir: ModelsDir = None, engine: Engine = None, model: Model = None) -> None:
    """Say what hardware was found, and which engine and model were picked, and why."""
    from javis.app import diagnose

    for line in diagnose(settings_from(models_dir=models_dir, engine=engine, model=model)):
        typer.echo(line)


@app.command()
def models() -> None:
    """List the base models JAVIS knows."""
    from javis.engine.catalog import table

    typer.echo(table())


@app.command()
def versions(models_dir: ModelsDir = None, data_dir: DataDir = None) -> None:
    """List the adapter versions: their data, their gate, their thumbs."""
    from javis.commands.versions import listing

    for line in listing(settings_from(models_dir=models_dir, data_dir=data_dir)):
        typer.echo(line)


@app.command()
def promote(name: str, models_dir: ModelsDir = None) -> None:
    """Let a version, or `base`, answer from the next message on; also of a running server."""
    from javis.commands.versions import promote as run

    typer.echo(run(settings_from(models_dir=models_dir), name))


@app.command()
def rollback(models_dir: ModelsDir = None) -> None:
    """Let the version that answered before this one answer again."""
    from javis.commands.versions import rollback as run

    typer.echo(run(settings_from(models_dir=models_dir)))


@app.command("import-adapter")
def import_adapter(path: Path, models_dir: ModelsDir = None) -> None:
    """Take in an adapter made elsewhere: PEFT's folder, or a zip file of it."""
    from javis.commands.versions import bring_in

    typer.echo(bring_in(settings_from(models_dir=models_dir), path, typer.echo))


@app.command("delete-version")
def delete_version(name: str, models_dir: ModelsDir = None) -> None:
    """Delete a version for good; not the one in use, its parent, or the one before it."""
    from javis.commands.versions import delete

    typer.echo(delete(settings_from(models_dir=models_dir), name))


@app.command()
def train(
    method: Annotated[str | None, typer.Option(help="Without one: what suits the data.")] = None,
    preset: Annotated[str, typer.Option(help="default, deep, quick or light.")] = "default",
    promote: Annotated[str, typer.Option(help="gate or never.")] = "gate",
    dataset: Annotated[str | None, typer.Option(help="A JSONL file in the exports folder.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Two steps and a sample.")] = False,
    follow: Annotated[bool, typer.Option(help="Stay until the run has ended.")] = True,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    exports_dir: ExportsDir = None,
    engine: Engine = None,
    model: Model = None,
) -> None:
    """Train a new version on everything approved, judge it, and let it answer if it is better."""
    from javis.commands import train as command
    from javis.store import open_store

    settings = settings_from(
        data_dir=data_dir,
        models_dir=models_dir,
        exports_dir=exports_dir,
        engine=engine,
        model=model,
    )
    with open_store(_existing(settings.journal)) as store:
        ended = command.run(
            settings,
            store,
            typer.echo,
            follow=follow,
            method=method,
            preset=preset,
            promote=promote,
            dataset=dataset,
            dry_run=dry_run,
        )
    if ended not in ("succeeded", "running"):
        raise typer.Exit(1)


@app.command("eval")
def evaluate(
    version: Annotated[
        list[str] | None, typer.Option(help="Again for more; without: the one in use, and base.")
    ] = None,
    suites: Annotated[str | None, typer.Option(help="Names with commas; without: all.")] = None,
    sample: Annotated[
        int | None, typer.Option(help="The first so many items of each suite.", min=1)
    ] = None,
    harness: Annotated[
        str | None,
        typer.Option(help="Tasks of lm-evaluation-harness instead, such as kobest,haerae."),
    ] = None,
    harness_folder: Annotated[Path | None, typer.Option(help="With more of such tasks.")] = None,
    chat_template: Annotated[
        bool, typer.Option("--chat-template", help="Put the tasks' questions into messages.")
    ] = False,
    json_file: JsonFile = None,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    engine: Engine = None,
    model: Model = None,
) -> None:
    """Ask versions the suites' questions and say how well they do, and how sure that is."""
    from javis.commands import evaluate as command
    from javis.commands import harness as harness_command

    settings = settings_from(data_dir=data_dir, models_dir=models_dir, engine=engine, model=model)
    if harness:
        harness_command.run(
            settings,
            [name.strip() for name in harness.split(",") if name.strip()],
            typer.echo,
            versions=version or [],
            limit=sample,
            folder=harness_folder,
            chat=chat_template,
            json_file=json_file,
        )
        return
    wanted = [name.strip() for name in (suites or "").split(",") if name.strip()]
    if suites is not None and not wanted:
        raise UserInputError("no_suite_named", "--suites names none; without it, all are asked.")
    if not command.run(
        settings,
        typer.echo,
        versions=version or [],
        suites=wanted,  # type: ignore[arg-type]
        sample=sample,
        json_file=json_file,
    ):
        raise typer.Exit(1)


@app.command()
def compare(
    names: Annotated[
        list[str] | None, typer.Argument(help="Versions, base, ids of runs; without: the newest.")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Train these first, on the same data: lora,qlora,prompt,ia3,dpo,kto."),
    ] = None,
    preset: Annotated[str, typer.Option(help="default, deep, quick or light.")] = "default",
    max_steps: Annotated[int | None, typer.Option(help="Train no longer than this.", min=1)] = None,
    suites: Annotated[
        str | None, typer.Option(help="Asked of what was trained: names with commas, or none.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="The first so many items of each suite.", min=1)
    ] = None,
    report: Annotated[bool, typer.Option(help="Write the report.")] = True,
    data_dir: DataDir = None,
    models_dir: ModelsDir = None,
    exports_dir: ExportsDir = None,
    engine: Engine = None,
    model: Model = None,
) -> None:
    """Put versions side by side, or methods: loss, scores, parameters, time, size, cost."""
    from javis.commands import compare as command
    from javis.commands import study
    from javis.store import open_store

    settings = settings_from(
        data_dir=data_dir,
        models_dir=models_dir,
        exports_dir=exports_dir,
        engine=engine,
        model=model,
    )
    with open_store(_existing(settings.journal)) as store:
        if methods is None:
            command.run(settings, store, typer.echo, names or [], write=report)
            return
        study.run(
            settings,
            store,
            typer.echo,
            study.methods_of(methods),
            names=names or [],
            preset=preset,
            max_steps=max_steps,
            suites=study.suites_of(suites),
            sample=sample,
        )


@app.command()
def jobs(data_dir: DataDir = None) -> None:
    """List the training runs, the newest first."""
    from javis.commands.train import listing
    from javis.store import open_store

    with open_store(_existing(settings_from(data_dir=data_dir).journal)) as store:
        for line in listing(store):
            typer.echo(line)


@app.command()
def export(
    format: Annotated[
        str, typer.Option(help="messages, sharegpt, alpaca, preference, kto or csv.")
    ] = "messages",
    filter: Annotated[str, typer.Option(help="good, bad or all.")] = "good",
    output: Annotated[Path | None, typer.Option(help="A new file; - is the screen.")] = None,
    data_dir: DataDir = None,
    exports_dir: ExportsDir = None,
) -> None:
    """Write what may be learned from to a file that trainers read, also while the chat runs."""
    from javis.commands import data
    from javis.store import open_store

    settings = settings_from(data_dir=data_dir, exports_dir=exports_dir)
    with open_store(_existing(settings.journal)) as store:
        data.export(settings, store, format, filter, output, typer.echo)  # type: ignore[arg-type]


@app.command()
def take_in(
    file: Path,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Take in rows of an edited export, or made elsewhere, to be learned from."""
    from javis.commands import data
    from javis.store import open_store

    settings = settings_from(data_dir=data_dir)
    with open_store(_existing(settings.journal)) as store:
        if not data.take_in(settings, store, file, typer.echo, dry_run=dry_run):
            raise typer.Exit(1)


@store_app.command("verify")
def store_verify(data_dir: DataDir = None) -> None:
    """Read the whole journal and say whether every record is whole."""
    from javis.store import maintenance

    report = maintenance.verify(_existing(settings_from(data_dir=data_dir).journal))
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)


@store_app.command("backup")
def store_backup(target: Path, data_dir: DataDir = None) -> None:
    """Write a consistent copy of the journal, also while the chat runs."""
    from javis.store import maintenance, open_store

    with open_store(_existing(settings_from(data_dir=data_dir).journal)) as store:
        saved = maintenance.backup(store.db, target)
    typer.echo(f"Saved to {saved.absolute()}")


@store_app.command("repair")
def store_repair(target: Path, data_dir: DataDir = None) -> None:
    """Write a new journal with every record that is provably whole; the old one is kept."""
    from javis.store import maintenance

    typer.echo(str(maintenance.repair(settings_from(data_dir=data_dir).journal, target)))


@store_app.command("export")
def store_export(target: Path, data_dir: DataDir = None) -> None:
    """Write everything as one JSON file that plain TinyDB opens."""
    from javis.store import maintenance, open_store

    with open_store(_existing(settings_from(data_dir=data_dir).journal)) as store:
        maintenance.export_tinydb(store.db, target)
    typer.echo(f"Written to {target}")


@bench_app.command("chat")
def bench_chat(json_file: JsonFile = None, models_dir: ModelsDir = None) -> None:
    """Speed of answers: through /v1 and the page, against raw llama.cpp and transformers."""
    from javis.bench import chat

    _report(chat.run(settings_from(models_dir=models_dir)), json_file)


@bench_app.command("store")
def bench_store(json_file: JsonFile = None) -> None:
    """Speed of the journal at 1,000 and 100,000 rows, against plain TinyDB."""
    from javis.bench import store

    _report(store.run(), json_file)


@bench_app.command("quantization")
def bench_quantization(json_file: JsonFile = None, models_dir: ModelsDir = None) -> None:
    """Perplexity and speed of the embedded model in several precisions."""
    from javis.bench import quantization

    _report(quantization.run(settings_from(models_dir=models_dir).models_dir), json_file)


@bench_app.command("train")
def bench_train(json_file: JsonFile = None, models_dir: ModelsDir = None) -> None:
    """Speed and memory of training, against a plain TRL script on the same rows."""
    from javis.bench import train

    _report(train.run(settings_from(models_dir=models_dir)), json_file)


@bench_app.command("eval")
def bench_eval(json_file: JsonFile = None, models_dir: ModelsDir = None) -> None:
    """Speed of the suites, several questions at once against one; and what a kill costs."""
    from javis.bench import eval as bench

    _report(bench.run(settings_from(models_dir=models_dir).models_dir), json_file)


def _existing(journal: Path) -> Path:
    """The journal, if there is one: a mistyped folder must not become an empty store."""
    if not journal.is_file():
        raise UserInputError("no_journal", "There is no journal at {path}.", path=journal)
    return journal


def _report(rows: list[dict[str, Any]], json_file: Path | None) -> None:
    from javis.bench.report import table

    typer.echo(table(rows))
    if json_file:
        json_file.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", "utf-8")
