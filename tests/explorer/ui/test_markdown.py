"""Tables: what someone named a run stays text."""

from vidpred.explorer.ui.markdown import literal, table


def test_a_table_is_markdown():
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_words_are_no_marks():
    assert literal("a_b|c*<b>`x`\n$$") == r"a\_b\|c\*\<b\>\`x\` \$\$"
    assert literal("push-free 1.5") == "push-free 1.5"
