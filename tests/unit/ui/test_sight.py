"""Who gets the summary of which card."""

from ui_svc.feeds.sight import Sight, cards_of


def test_only_who_sees_a_card_gets_its_changes() -> None:
    """A change goes to the sockets that see the card; nothing goes to those that see none of the changed ones."""
    sight = Sight()
    sight.see("one", ["a", "b"])
    sight.see("two", ["c"])
    sight.take(["one", "two"], set())
    assert sight.take(["one", "two"], {"b", "d"}) == {frozenset({"b"}): ["one"]}


def test_a_card_that_comes_into_sight_is_sent_even_if_it_has_not_changed() -> None:
    """After a scroll, the new cards are due at once, and only once."""
    sight = Sight()
    sight.see("one", ["a", "b"])
    sight.take(["one"], set())
    sight.see("one", ["b", "c"])
    assert sight.take(["one"], set()) == {frozenset({"c"}): ["one"]}
    assert sight.take(["one"], set()) == {}
    # Left and seen again: it may have changed meanwhile.
    sight.see("one", ["b"])
    sight.see("one", ["b", "c"])
    assert sight.take(["one"], set()) == {frozenset({"c"}): ["one"]}


def test_a_card_that_has_left_before_the_frame_is_not_sent() -> None:
    """Whoever scrolls fast gets what is in sight in the end."""
    sight = Sight()
    sight.see("one", ["a"])
    sight.see("one", ["b"])
    assert sight.take(["one"], {"a"}) == {frozenset({"b"}): ["one"]}


def test_who_has_not_said_what_it_sees_gets_everything() -> None:
    """Until a browser tells what it sees, it gets every change; one that sees nothing gets none."""
    sight = Sight()
    sight.see("blind", [])
    assert sight.take(["new", "blind"], {"a"}) == {frozenset({"a"}): ["new"]}


def test_those_who_see_the_same_share_one_frame() -> None:
    """Equal summaries are encoded once."""
    sight = Sight()
    for socket in ("one", "two"):
        sight.see(socket, ["a", "b"])
    assert sight.take(["one", "two"], set()) == {frozenset({"a", "b"}): ["one", "two"]}


def test_a_socket_that_has_closed_is_forgotten() -> None:
    """A socket that is no longer in the room gets nothing, and counts as unknown if it comes back."""
    sight = Sight()
    sight.see("one", ["a"])
    assert sight.take([], {"a"}) == {}
    assert sight.take(["one"], {"b"}) == {frozenset({"b"}): ["one"]}


def test_what_a_browser_says_is_bounded() -> None:
    """Only names count, at most 500 of them; anything but a list says nothing."""
    assert cards_of(["a", 1, None, {"b": 1}, "c"]) == ["a", "c"]
    assert cards_of("a") is None
    assert cards_of(None) is None
    most = cards_of([str(number) for number in range(501)])
    assert most == [str(number) for number in range(500)]
