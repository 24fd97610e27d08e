"""`roomtone bundle keygen|sign`: whose bundles a device may run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def keygen(
    private: Annotated[Path, typer.Option(help="the private key to write, PEM; keep it off every device")],
    public: Annotated[Path, typer.Option(help="the public key to write, PEM; goes onto every device")],
) -> None:
    r"""Makes an Ed25519 key pair for signing bundles.

    \b
    roomtone bundle keygen --private school.key.pem --public school.pub.pem
    """
    from edge_runtime.bundle_signing import make_key

    make_key(private, public)
    typer.echo(
        f"{private} signs: roomtone bundle sign BUNDLE --key {private}\n"
        f'{public} goes onto the devices: [updates] require_signature = true, public_key = "{public}"'
    )


@app.command()
def sign(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="bundle directory")],
    key: Annotated[Path, typer.Option(help="private key, PEM")],
) -> None:
    r"""Signs a bundle: Ed25519 over bundle.json, which holds the digests of all other files.

    \b
    roomtone bundle sign runs/hafnet-1.2.0 --key school.key.pem
    tar -C runs/hafnet-1.2.0 -cf hafnet-1.2.0.tar .
    """
    from edge_runtime.bundle import open_bundle
    from edge_runtime.bundle_signing import sign_bundle

    manifest = open_bundle(folder).manifest
    typer.echo(f"{manifest.name} {manifest.version} is signed: {sign_bundle(folder, key)}")
