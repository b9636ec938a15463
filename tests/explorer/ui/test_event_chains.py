"""Events one after the other, once for the same inputs, and only while their tab is looked at."""

import gradio as gr
import pytest

from vidpred.explorer.ui.events import chain, once, while_shown


@pytest.fixture
def asked():
    """A page of one number, and an event that notes what it is asked."""
    notes = []

    def note(number):
        notes.append(number)
        return number

    with gr.Blocks():
        number = gr.Number()
        return notes, {"fn": note, "inputs_kwargs": {"number": number}, "outputs": gr.Number()}


def test_the_same_inputs_are_answered_once(asked):
    notes, event = asked
    with gr.Blocks():
        made = once(**event)
    *values, answered = made["fn"](answered=None, number=1)
    assert values == [1]
    assert made["fn"](answered=answered, number=1) == gr.skip()
    assert made["fn"](answered=answered, number=2)[0] == 2
    assert notes == [1, 2]
    assert made["outputs"][-1] is made["inputs_kwargs"]["answered"]


def test_its_triggers_wait_for_each_other(asked):
    """Side by side two would both find no answer yet: Training drew twice when it was opened on a busy machine."""
    _, event = asked
    with gr.Blocks() as demo:
        made = once(**event)
        gr.Button().click(**made)
        gr.Button().click(**while_shown(made, "here", gr.Textbox()))
        gr.Button().click(**once(**event))
    first, second, other = (fn.concurrency_id for fn in demo.fns.values())
    assert first == second != other


def test_what_the_answer_does_not_depend_on_asks_nothing():
    with gr.Blocks():
        made = once(lambda a, b: [a, b], {}, [gr.Number(), gr.Number()], aside=["b"])
    *values, answered = made["fn"](answered=None, a=1, b=2)
    assert values == [1, 2]
    assert made["fn"](answered=answered, a=1, b=3) == gr.skip()


def test_nothing_is_answered_while_another_tab_is_looked_at(asked):
    notes, event = asked
    with gr.Blocks():
        made = while_shown(event, "here", gr.Textbox())
        assert made["fn"](shown="", number=1) == made["fn"](shown="there", number=1) == gr.skip()
        assert made["fn"](shown="here", number=1) == 1
    assert notes == [1]


def test_a_chain_goes_on_where_the_last_event_went_well(asked):
    _, event = asked
    with gr.Blocks() as demo:
        chain(gr.Button().click, event, event, event)
    first, *others = demo.fns.values()
    assert [fn.trigger_after for fn in others] == [first._id, first._id + 1]
    assert all(fn.trigger_only_on_success for fn in others)
    assert {fn.api_visibility for fn in demo.fns.values()} == {"private"}
