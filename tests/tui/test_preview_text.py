"""How preview says in words what goes through the model."""

from sft_tui.core.data.results import Packing
from sft_tui.tui.preview_text import layout_in_words


def test_what_training_rows_of_one_text_together_would_save_is_told():
    packing = Packing(layout="packed", padding_share_without=0.2, grouped_share=0.625)
    assert layout_in_words(packing).endswith(
        "; data.share_prefixes: always would train rows of one text together, few texts a step, "
        "and not compute 62.5 % again"
    )
    assert "always" not in layout_in_words(Packing(layout="packed", padding_share_without=0.2))
