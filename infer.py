"""Paint photos, folders, videos and the webcam in a trained style: python infer.py source=photo.jpg style=gogh"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # the checkout's fst, from any working directory

from fst.errors import UserError, one_line_errors
from fst.system import handling, interrupt

USAGE = """
python infer.py source=SOURCE style=STYLE [key=value ...]
python infer.py styles                                  the styles that come with fst
python infer.py export=onnx style=STYLE output=FILE.onnx

source=      a photo, a video or GIF, a folder or pattern of them, webcam or webcam:N, a stream's address
             (rtsp:// http://), or - for an image on standard input; names are taken as the shell passes them
style=       gogh: a bundled style, or FILE.safetensors, FILE.ckpt, a run's folder, wandb:ENTITY/PROJECT/NAME:ALIAS,
             painting.jpg: any painting;  a,b or a folder of paintings: each;  a:0.7,b:0.3: a mixture;
             'a>b': a film goes from one to the other (in quotes, or the shell writes to a file b)
painting_size=   long edge in pixels at which a painting is read (512): larger makes larger strokes
output=      a file or folder, window, page, or - for standard output; else NAME-STYLE in the current folder
overwrite=   true replaces files that exist
size=        long edge in pixels at which the network works: smaller makes larger strokes; the result has the
             source's size
strength=    0 (the source) to 1 (the painting, default)
colors=      style, or content for the source's own colours
stabilize=   hold (default): in films and live, paint stays where the picture stays; flow: it also moves along with
             the picture, which is slower, for films that are written to a file; none: every frame by itself
quality=     of JPEG 1 to 100 (95), or of video;  codec= of video
backend=     auto (default), torch or openvino
precision=   of openvino: auto (default: int8 where it is fast and nobody sees it; else the faster of f32 and bf16),
             f32, bf16 or int8
webcam.      device= width= height= fps= mirror=;  page.host= page.port=: the page where there is no display
"""
EXPORTED = ("export", "style", "output", "overwrite", "painting_size")  # what a network that is written depends on


def main(arguments: list[str]) -> None:
    """Do what the command line asks for: `key=value` arguments, `styles`, or `--help`."""
    if not arguments or arguments[0] == "help" or {"-h", "--help"} & {*arguments}:
        print(USAGE.strip())
        return
    if arguments == ["styles"]:
        from fst.stylize.styles import print_styles

        print_styles()
        return
    from fst.config.infer import compose

    config = compose(arguments)
    if config.export is not None:
        from fst.stylize.export import export

        given = [argument.partition("=")[0] for argument in arguments]
        if unused := [key for key in given if key not in EXPORTED]:
            raise UserError(f"export={config.export} writes a network, in which {unused[0]}= has no part: leave it out")
        how = {"overwrite": config.overwrite, "painting_size": config.painting_size}
        print(export(config.export, config.style, config.output, **how))
        return
    if config.source is None:
        raise UserError("source= is missing: a photo, folder, video or webcam, as source=photo.jpg; see --help")
    from fst.media.paint import paint

    paint(config)


if __name__ == "__main__":
    with one_line_errors(), handling(interrupt):
        main(sys.argv[1:])
