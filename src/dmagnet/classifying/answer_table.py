"""The table of answers, which shows its galaxies in a notebook."""

import html
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import QTable

from dmagnet.classifying.table_columns import BETWEEN
from dmagnet.config import SourceConfig, from_dict
from dmagnet.pictures.inputs import Item, read_picture
from dmagnet.pictures.raster import as_address

NUM_SHOWN = 12  # galaxies with a picture in a notebook
SIDE = 128  # of a picture there, px
NEEDED = ("id", "class_name", "set90", "reason")  # columns, for their answers
CARD = (
    '<figure style="display:inline-block;vertical-align:top;width:{side}px;margin:4px">'
    "{picture}"
    '<figcaption style="font-size:small;overflow-wrap:anywhere"><b>{answer}</b>'
    "<br>{name}{more}</figcaption></figure>"
)


class Answers(QTable):  # type: ignore[misc]
    """A `QTable` with a row for each galaxy; in a notebook it shows their pictures.

    Attributes
    ----------
    items : sequence of Item
        What the rows were read from, if they are few.
    """

    items: Sequence[Item] = ()

    def __getitem__(self, item: Any) -> Any:
        """Keep the pictures of rows that are chosen."""
        found = super().__getitem__(item)
        if isinstance(found, Answers):
            found.items = self.items
        return found

    def _repr_html_(self) -> str:
        """Show the first galaxies with their answers, and the whole table below."""
        table = super()._repr_html_()
        names = self.meta.get("class_names", ())
        needed = {*NEEDED, *(f"p{k}" for k in range(len(names)))}
        if not (self.items and names and needed <= {*self.colnames}):
            return str(table)
        num = Counter(item.id for item in self.items)  # which row has which picture?
        items = {item.id: item for item in self.items if num[item.id] == 1}
        cards = [self._card(row, items.get(str(row["id"]))) for row in self[:NUM_SHOWN]]
        rest = len(self) - NUM_SHOWN
        more = f"<p>and {rest:,} more in the table</p>" if rest > 0 else ""
        what = f"{len(self):,} {'row' if len(self) == 1 else 'rows'}"
        return (
            f"{''.join(cards)}{more}<details><summary>{what}, "
            f"{len(self.colnames)} columns</summary>{table}</details>"
        )

    def _card(self, row: Any, item: Item | None) -> str:
        """Lay out the picture of a row as the network saw it, and its answer."""
        settings, names = self.meta.get("settings", {}), self.meta["class_names"]
        picture = None
        if item is not None:
            view = settings.get("image", {})
            source = from_dict(SourceConfig, settings.get("source", {}))
            field, radii = view.get("field", 1.0), view.get("radii")
            picture = read_picture(item, SIDE, field, source, radii=radii).rgb
        name, shown = html.escape(str(row["id"])), ""
        if picture is not None:
            shown = f'<img alt="{name}" width="{SIDE}" src="{as_address(picture)}">'
        answer, lines = str(row["class_name"]), []
        if answer in names:  # people may change or mask what they have
            inside = str(row["set90"]).split(BETWEEN)
            others = [
                n for k, n in enumerate(names) if str(k) in inside and n != answer
            ]
            value = row[f"p{names.index(answer)}"]
            answer += "" if value is np.ma.masked else f" {value:.2f}"
            lines = [f"or {', '.join(others)} (90 % set)"] if others else []
        lines.append(str(row["reason"]))
        return CARD.format(
            side=SIDE,
            picture=shown,
            name=name,
            answer=html.escape(answer or "no class"),
            more="".join(f"<br>{html.escape(line)}" for line in lines if line),
        )
