"""`nearbit doctor`: is everything here that nearbit needs?"""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from nearbit.cli.console import emit, json_option, table

NEEDED = ("nearbit", "torch", "numpy", "scipy", "pillow", "safetensors", "click", "tqdm")
EXTRAS = {
    "transformers": "hf",
    "huggingface_hub": "hub",
    "watchdog": "watch",
    "timm": "timm",
    "torchvision": "timm",
    "faiss-cpu": "faiss",
    "usearch": "usearch",
    "tensorboard": "tensorboard",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "onnxruntime": "onnx",
    "starlette": "serve",
    "uvicorn": "serve",
}


@click.command("doctor", epilog="Example: nearbit doctor")
@json_option
def command(as_json: bool) -> None:
    """Check the installation: versions, device, optional packages and the cache folder."""
    about = examine()
    rows = [
        (
            name,
            found or "missing",
            "" if found else f"pip install '.[{EXTRAS[name]}]' in a clone" if name in EXTRAS else "",
        )
        for name, found in about["packages"].items()
    ]
    emit(
        about,
        as_json=as_json,
        lines=[
            f"Python {about['python']} on {about['system']}, {about['cores']} cores",
            *table(rows, ("package", "version", "to install")),
            f"device: {about['device']}",
            f"cache: {about['cache']} ({about['cache_bytes'] / 1e6:.0f} MB; may be deleted at any time)",
            f"compiled: {', '.join(name for name, is_kept in about['kernels'].items() if is_kept) or 'nothing yet'}; "
            "`nearbit warm` compiles all",
            *[f"problem: {problem}" for problem in about["problems"]],
            "all is well" if not about["problems"] else "see above",
        ],
    )


def examine() -> dict[str, Any]:
    """Return facts on the installation, with what is wrong under "problems"."""
    import os

    from nearbit.compiled import FAMILIES
    from nearbit.files.writing import cache_folder

    folder = cache_folder()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    device, problems = _device()
    packages = {name: _version(name) for name in (*NEEDED, *EXTRAS)}
    problems += [f"{name} is missing: install nearbit again" for name in NEEDED if packages[name] is None]
    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "cores": os.cpu_count(),
        "packages": packages,
        "device": device,
        "cache": str(folder),
        "cache_bytes": size,
        "kernels": {family.name: family.is_kept() for family in FAMILIES},
        "problems": problems,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> tuple[str, list[str]]:
    from nearbit.encoding.torch_backend import find_device

    problems = []
    if _version("torchvision") is not None:
        try:
            import torchvision  # noqa: F401
        except (ImportError, RuntimeError) as error:
            problems.append(
                f"torchvision {_version('torchvision')} does not fit torch {_version('torch')} ({error}): "
                "install the pair that belongs together, or uninstall torchvision"
            )
    return str(find_device("auto")), problems
