"""Facts as indented lines."""

from eavctl.cli.nested import tree


def test_lists_of_lists_keep_their_brackets():
    """So that ``show`` tells which numbers are one band."""
    assert tree({"bands": [[4, 8], [8, 13]]}) == ["bands: [4, 8], [8, 13]"]
    assert tree({"names": ["a", "b"]}) == ["names: a, b"]
