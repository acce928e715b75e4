"""The figures of a dataset. To add one, copy ``sentence.py`` and add the module to the table."""

from attention_dynamics.views.figures import dynamics, sentence, words
from attention_dynamics.views.figures.figure import Figure

FIGURES: dict[str, Figure] = {
    module.FIGURE.name: module.FIGURE
    for module in (
        dynamics,
        sentence,
        words,
    )
}
