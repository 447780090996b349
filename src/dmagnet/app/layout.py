"""Layout of the page, and which click does what."""

from typing import Any

import gradio as gr

from dmagnet.app import words
from dmagnet.app.handlers import Handlers
from dmagnet.app.words import NO_ONE
from dmagnet.app.work import DREAM_SIDE, DREAM_SIDES, LOOKS, MAX_STEPS, Work
from dmagnet.classes import CLASSES
from dmagnet.config import AppConfig, DreamConfig
from dmagnet.explaining.methods import METHODS

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Helvetica", "Arial", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
WAITING = 64  # questions of one kind that may wait


def theme() -> Any:
    """Give the page's colors and fonts; no font is loaded."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.slate,
        font=[gr.themes.Font(name) for name in FONTS],
        font_mono=[gr.themes.Font(name) for name in MONO],
    )


class Page(gr.Blocks):
    """What gradio shows; a question it cannot take is answered without a traceback."""

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *others: Any, **named: Any
    ) -> list[Any]:
        """Read what was asked; a script may give one file by itself."""
        if block_fn.api_name == "look":
            inputs = [[each] if isinstance(each, dict) else each for each in inputs]
        try:
            told = await super().preprocess_data(block_fn, inputs, *others, **named)
        except (gr.Error, ValueError, TypeError, LookupError, AttributeError, OSError):
            line = f"expected what /gradio_api/info says of {block_fn.api_name}"
            raise gr.Error(line, print_exception=False) from None
        return [*told]


def questions_of(page: Any) -> frozenset[int]:
    """List what may be asked for by number."""
    return frozenset(
        n for n, each in page.fns.items() if each.targets[0][1] != "unload"
    )


def page_of(work: Work, handlers: Handlers, config: AppConfig) -> Any:
    """Lay the page out."""
    with Page(title="dmagnet", analytics_enabled=False, fill_width=False) as page:
        head, classes = words.head()
        gr.HTML(head)
        *examples, sample = _examples()
        gr.HTML(classes)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=260):
                drop, place, fetch = _questions(config)
            with gr.Column(scale=5, min_width=320):
                table = gr.HTML("", elem_id="galaxies")
                answer = gr.HTML(words.empty(words.NO_GALAXY), elem_id="answer")
                number = gr.Number(visible=False)
                show = gr.Button(visible="hidden", elem_id="show")
        with gr.Tabs():
            with gr.Tab("Why", id="why"):
                target, against, methods, why = _reasons(work)
            with gr.Tab("Dream", id="dream"):
                dreams = _dreams(work)
            with gr.Tab("Compare", id="compare") as comparing:
                first, second, compare, compared = _pair()
            with gr.Tab("Files", id="files"):
                files = gr.HTML(words.empty(words.NO_FILES), elem_id="files")
        gr.HTML(words.foot(work))
        shown = [answer, why, target, against, dreams["stage"], first, second, files]
        looks: dict[str, Any] = {
            "outputs": [*shown, drop, table],
            "concurrency_limit": LOOKS,
            "concurrency_id": "look",
            "show_progress": "minimal",
            "show_progress_on": [answer],
        }
        drop.upload(handlers.look, [drop], api_name="look", **looks)
        gr.on(
            [place.submit, fetch.click], handlers.look_at, [place],
            api_name="look_at", **looks,
        )  # fmt: skip
        for example in examples:
            example.click(
                handlers.simulated, [example], api_name="example",
                api_visibility="private", **looks,
            )  # fmt: skip
        sample.click(handlers.simulated, None, api_name="simulated", **looks)
        show.click(
            handlers.show, [number], api_name="show",
            js="() => [window.dmagnetChosen]", **looks,
        )  # fmt: skip
        _connect_reasons([target, against, methods], why, files, handlers)
        _connect_dreams(dreams, files, handlers, config)
        gr.on(
            [compare.click, comparing.select], handlers.compare, [first, second],
            [compared], api_name="compare", concurrency_limit=LOOKS,
            concurrency_id="why", show_progress_on=[compared],
        )  # fmt: skip
        page.unload(handlers.close)
    page.queue(max_size=WAITING, default_concurrency_limit=LOOKS)
    return page


def _examples() -> list[Any]:
    """Lay out drawn galaxies: one of each class, and a button for any class."""
    with gr.Row(elem_id="examples"):
        ids = {entry.name: f"example-{entry.slug}" for entry in CLASSES}
        return [
            gr.Button(name, min_width=76, elem_id=each, elem_classes="dm-example")
            for name, each in (ids | {"Any class": "sample"}).items()
        ]


def _questions(config: AppConfig) -> tuple[Any, ...]:
    """Lay out the ways in: files, and a position."""
    drop = gr.File(
        label=f"Images, zip or table, up to {config.max_upload_mb:g} MB",
        file_count="multiple", type="filepath", height=150, elem_id="drop",
    )  # fmt: skip
    with gr.Group():
        place = gr.Textbox(
            label="or a position: RA Dec",
            placeholder="12:18:57.6 +47:18:13",
            max_length=200, elem_id="place",
        )  # fmt: skip
        fetch = gr.Button("Fetch its image", size="sm", elem_id="fetch")
    return drop, place, fetch


def _reasons(work: Work) -> tuple[Any, ...]:
    """Lay out the choice of class, of another, and of maps."""
    why = gr.HTML(words.empty(words.NO_REASON), elem_id="reasons")
    with gr.Accordion("Ask about another class, or for other maps", open=False):
        with gr.Row():
            target = _class(work, "Why this class?", "target")
            against = _class(work, "rather than", "against")
        known = [m for m in METHODS if m != "lam" or "lam" in work.methods]
        choices = [
            (words.TITLES.get(m, m) + words.PATIENCE.get(m, ""), m) for m in known
        ]
        methods = gr.CheckboxGroup(
            choices, value=list(work.methods), label="Maps", elem_id="methods"
        )
    return target, against, methods, why


def _connect_reasons(
    asked: list[Any], why: Any, files: Any, handlers: Handlers
) -> None:
    """Let each choice of a class or of maps be answered, the last one surely."""
    gr.on(
        [each.input for each in asked], handlers.why, asked, [why, files],
        api_name="why", concurrency_limit=LOOKS, concurrency_id="why",
        trigger_mode="always_last", show_progress_on=[why],
    )  # fmt: skip


def _class(work: Work, label: str, name: str) -> Any:
    """Lay out the choice of a class, or of none."""
    choices = [NO_ONE, *work.class_names]
    return gr.Dropdown(choices, value=NO_ONE, label=label, elem_id=name, min_width=230)


def _dreams(work: Work) -> dict[str, Any]:
    """Lay out what is dreamed, and the stage for it."""
    layers = gr.CheckboxGroup(
        list(work.layers), value=[work.layers[-1]], elem_id="layers",
        label="Layers: early ones see edges, late ones see galaxies",
    )  # fmt: skip
    with gr.Row():
        class_name = _class(work, "and the class", "dream-class")
        steps = gr.Slider(
            1, MAX_STEPS, value=DreamConfig().steps, step=1, elem_id="steps",
            label="Steps on each scale", min_width=230,
        )  # fmt: skip
        side = gr.Radio(
            [(f"{each} px", each) for each in DREAM_SIDES], value=DREAM_SIDE,
            label="Side", elem_id="side",
        )  # fmt: skip
    with gr.Row():
        start = gr.Button("Dream", variant="primary", elem_id="start-dream")
        cancel = gr.Button(
            "Cancel", variant="stop", interactive=False, elem_id="cancel-dream"
        )
    stage = gr.HTML(words.empty(words.NO_DREAM), elem_id="dreams")
    return {
        "asked": [layers, class_name, steps, side],
        "start": start,
        "cancel": cancel,
        "stage": stage,
    }


def _connect_dreams(
    dreams: dict[str, Any], files: Any, handlers: Handlers, config: AppConfig
) -> None:
    """Let a dream begin, and end at any step."""
    dreams["start"].click(
        handlers.dream,
        dreams["asked"],
        [dreams["stage"], dreams["start"], dreams["cancel"], files],
        api_name="dream",
        # One more than may wait: it is told that there is no room.
        concurrency_limit=config.max_dreams + config.max_waiting + 1,
        concurrency_id="dream",
        show_progress="hidden",
    )
    dreams["cancel"].click(
        handlers.cancel, None, None, api_name="cancel", concurrency_limit=None,
        concurrency_id="cancel", show_progress="hidden", trigger_mode="multiple",
    )  # fmt: skip


def _pair() -> tuple[Any, ...]:
    """Lay out the choice of two galaxies."""
    with gr.Row():
        first = gr.Dropdown([], label="Galaxy", elem_id="first", min_width=230)
        second = gr.Dropdown([], label="and", elem_id="second", min_width=230)
        compare = gr.Button("Compare", scale=0, min_width=120, elem_id="compare-now")
    compared = gr.HTML(words.empty(words.NO_PAIR), elem_id="compared")
    return first, second, compare, compared
