"""The paintings of the box and of the network of many styles, with the weights that suit each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fst import store


@dataclass(frozen=True)
class Painting:
    """A file of the store's `styles/` or `paintings/`, and how it is trained.

    Attributes:
        style_weight: of its style loss.
        stability: the stability term's weight, in a network of its own.
        turns: how often it is painted in the network of many while others are once.
    """

    file: str
    style_weight: float = 1e5
    stability: float = 500.0
    turns: int = 1

    @property
    def path(self) -> Path:
        """Where it is in the store."""
        folders = [store.home() / folder for folder in ("styles", "paintings")]
        return next((folder / self.file for folder in folders if (folder / self.file).exists()), folders[0] / self.file)


BOX = {
    "gogh": Painting("starry_night_google.jpg", 1.4e5, 400, turns=3),
    "hokusai": Painting("wave.jpg", 1e5, 400, turns=3),
    "kandinsky": Painting("composition_vii.jpg", 3.4e4, 400),
    "picabia": Painting("udnie.jpg", 1.1e5, 300, turns=8),
    "turner": Painting("shipwreck.jpg", 1.2e5, 400),
    "klimt": Painting("Gustav_Klimt__fan.jpg", 1.2e5),
    "boccioni": Painting("Umberto_Boccioni__boccioni.jpg", turns=2),
    "piranesi": Painting("Giovanni_Battista_Piranesi__i_023.jpg", 1.2e5),
}
MORE = {
    "seurat": Painting("Georges_Seurat__Oil_Sketch_for_A_Sunday_on_La_Grande_Jatte_1884.jpg", 1.5e5),
    "souza": Painting("Amadeo_de_Souza_Cardoso__i_fp084.jpg", 8e4),
    "macke": Painting("August_Macke__1155_46_august_macke_blumenkasten_mi_jpg.jpg"),
    "froissart": Painting("Froissart_illuminations__i_plate27.jpg", 6e4),
    "schiele": Painting("Egon_Schiele__city_edge.jpg"),
    "mondrian": Painting("Piet_Mondrian__composition.jpg", 5e4),
    "gauguin": Painting("Paul_Gauguin__ia_orana.jpg"),
    "cezanne": Painting("Paul_Cezanne__mont_sainte.jpg", 2e5),
    "jawlensky": Painting("Alexej_von_Jawlensky__i_fp158.jpg"),
}
MANY = BOX | MORE
