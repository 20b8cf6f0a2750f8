"""``eavctl play``: a recording as a live stream."""

from __future__ import annotations

from typing import Annotated

import typer

from eavctl.cli.app import command
from eavctl.cli.console import emit_result, say, say_plan
from eavctl.cli.options import DryRun, Json


@command(
    "play",
    "eavctl play S001R03.edf --lsl EEG",
    "eavctl play 'subject1_eeg.mat?trial=3' --lsl EEG",
    "eavctl play clip.wav --lsl Speech",
)
def play(
    file: Annotated[
        str,
        typer.Argument(
            help="EEG file, one trial of it (FILE?trial=3), file with sound, or eeg-epochs table (.parquet)."
        ),
    ],
    lsl: Annotated[str, typer.Option(help="Name of the LSL stream, such as EEG.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Stream a recording over the Lab Streaming Layer, at its own speed, once.

    EEG goes out with the names of its channels, in microvolt; sound as one channel; a table of eeg-epochs row
    after row. 'eavctl live --eeg lsl:NAME' receives it, as does any program that reads LSL.
    """
    from eavctl.live.lsl_library import load_lsl, quieten_lsl
    from eavctl.live.playing import Playback

    library = load_lsl("play")
    playback = Playback(file, lsl)
    played = playback.played
    what = f"{played.seconds:.1f} s of {played.type}, {played.rate:g} Hz"
    if played.ch_names:
        what += f", {len(played.ch_names)} channels"
    if dry_run:
        say_plan(f"stream {what}", [f"lsl:{lsl}"])
    else:
        say(f"{what} -> lsl:{lsl}")
        quieten_lsl(library)
        playback.run(library)
    if as_json:
        emit_result("play", [], played._asdict(), dry_run=dry_run)
