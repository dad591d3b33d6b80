"""`nearbit push`: a model and its card on the Hugging Face hub."""

from pathlib import Path

import click

from nearbit.cli.console import ModelPath, emit, json_option


@click.command("push", epilog="Example: nearbit push birds.model ORG/birds-64")
@click.argument("model_path", metavar="MODEL", type=ModelPath())
@click.argument("repository", metavar="ORG/NAME")
@click.option("--public", is_flag=True, help="Let everyone see a repository that is made now. [default: it is private]")
@click.option("--revision", metavar="BRANCH", help="Another branch than the main one; it must be there.")
@click.option("--message", help="What the commit says. [default: the id of the model]")
@json_option
def command(
    model_path: Path, repository: str, public: bool, revision: str | None, message: str | None, as_json: bool
) -> None:
    """Publish MODEL as ORG/NAME on the Hugging Face hub, with its card, in one commit (extra [hub]).

    Log in first: hf auth login. Every file is checked, and no other file of the folder is sent; a README.md in it is
    taken for the card. Everybody who may read it opens it by its address: nearbit search INDEX QUERY.jpg --model
    hf:ORG/NAME.
    """
    from nearbit.model.publish import push_model

    address = push_model(model_path, repository, private=not public, revision=revision, message=message)
    about = {"model": str(model_path), "address": address}
    emit(about, as_json=as_json, lines=[f"{model_path}: published", f"next: nearbit inspect {address}"])
