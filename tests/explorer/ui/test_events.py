"""What `once` takes for an answer: neither a refusal nor what depends on something that has changed since."""

import gradio as gr
import pytest

from vidpred.errors import BadInput
from vidpred.explorer.ui.events import again, once


def test_a_refusal_is_told_and_asked_again():
    ready = False

    def answer(number):
        if not ready:
            raise BadInput("no weights yet")
        return number, str(number)

    with gr.Blocks():
        outputs = [gr.Number(), gr.Textbox()]
        event = once(answer, {"number": gr.Number()}, outputs, refused=lambda error: (gr.skip(), str(error)))
        silent = once(answer, {"number": gr.Number()}, outputs)
    assert event["fn"](answered=None, number=1) == (gr.skip(), "no weights yet", None)
    with pytest.raises(BadInput):
        silent["fn"](answered=None, number=1)
    ready = True
    *values, answered = event["fn"](answered=None, number=1)
    assert values == [1, "1"]
    assert event["fn"](answered=answered, number=1) == gr.skip()
    ready = False
    assert event["fn"](answered=answered, number=2)[-1] is None  # what was drawn before is no longer on the page


def test_an_answer_holds_for_its_version():
    epoch, known = 1, True

    def version(number):
        if not known:
            raise BadInput("no such run")
        return epoch

    with gr.Blocks():
        event = once(lambda number: number, {"number": gr.Number()}, gr.Number(), version=version)
    _, answered = event["fn"](answered=None, number=1)
    assert event["fn"](answered=answered, number=1) == gr.skip()
    epoch = 2
    value, answered = event["fn"](answered=answered, number=1)
    assert value == 1
    known = False  # whatever is wrong is for the handler to say
    assert event["fn"](answered=answered, number=1)[0] == 1


def test_a_button_is_answered_in_any_case():
    with gr.Blocks():
        event = once(lambda number: number, {"number": gr.Number()}, gr.Number())
        repeated = again(event)
    assert repeated["outputs"] == event["outputs"]
    assert repeated["inputs_kwargs"]["answered"] is not event["inputs_kwargs"]["answered"]
