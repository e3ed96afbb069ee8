"""Replay: a session and a run as they were at an earlier time."""

import re

from playwright.sync_api import Locator, Page, Route, expect

RANKING = "epics/search/tasks/ranking/attempts/1"


def bar(page: Page) -> Locator:
    return page.get_by_role("group", name="Replay")


def test_a_session_is_shown_as_it_was(page: Page, deep: str) -> None:
    """All six tabs show the chosen time, which is in the address; a replay has no controls of the session."""
    page.goto(f"/{deep}/{RANKING}")
    dialog = page.locator("dialog.session")
    expect(dialog.get_by_text("The ranking is written.")).to_be_visible()
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog.get_by_text("The ranking is written.")).to_have_count(0)
    expect(dialog.locator(".modal-facts .status")).to_have_text("Running")
    expect(page).to_have_url(re.compile(r"[?&]at=\d+"))
    slider = bar(page).get_by_label("Time")
    for tab, seen in (
        ("history", re.compile("Running.*Ranking by recency", re.DOTALL)),
        ("screenshots", "No screenshots yet"),
        ("quality", "The change is shown once it is committed."),
        ("costs", re.compile("This session.*\u2013", re.DOTALL)),
    ):
        dialog.locator(f"#tab-{tab}").click()
        expect(dialog.get_by_role("tabpanel")).to_contain_text(seen)
    dialog.locator("#tab-logs").click()
    expect(dialog.locator(".log-row", has_text="rank.py")).to_have_count(0)
    page.reload()
    expect(dialog.locator(".log-row", has_text="rank.py")).to_have_count(0)
    slider.press("End")
    expect(dialog.locator(".log-row", has_text="rank.py").first).to_be_visible()
    dialog.locator("#tab-quality").click()
    expect(dialog.get_by_role("tabpanel")).to_contain_text("accepted")
    bar(page).get_by_role("button", name="End replay").click()
    expect(bar(page)).to_have_count(0)
    expect(page).not_to_have_url(re.compile("at="))


def test_a_run_is_replayed_on_its_board(page: Page, deep: str) -> None:
    """The board moves from mark to mark and back to the present, where questions can be answered again."""
    page.goto(f"/{deep}")
    card = page.locator(".card")
    expect(card).to_contain_text("Decay as a setting")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".run-progress")).to_contain_text(re.compile("0 of 3 tasks"))
    expect(page.locator(".run-line")).to_contain_text(re.compile(r"Replay, \d\d:\d\d:\d\d"))
    for live in (".approval", ".run-controls", ".eta"):
        expect(page.locator(live)).to_have_count(0)
    # Tabs that show only the present are not part of it.
    expect(page.get_by_role("link", name="Timeline")).to_have_attribute("href", re.compile("at="))
    expect(page.get_by_role("link", name="Report")).not_to_have_attribute("href", re.compile("at="))
    for title in ("Index documents", "Index documents", "Ranking by recency"):
        bar(page).get_by_role("button", name="Next event").click()
        expect(card).to_contain_text(title)
    bar(page).get_by_label("Speed").select_option("500")
    bar(page).get_by_role("button", name="Play").click()
    expect(card).to_contain_text("Decay as a setting")
    bar(page).get_by_role("button", name="Back to now").click()
    expect(page.locator(".approval")).to_be_visible()
    expect(page.locator(".run-controls").get_by_role("button", name="Pause")).to_be_visible()


def test_the_timeline_opens_a_session_at_the_moment_of_the_click(page: Page, deep: str) -> None:
    """A click at the start of a bar shows the session before any output; closing leads to the live timeline."""
    page.goto(f"/{deep}/timeline")
    ended = page.locator(f'.bar[data-attempt$="{RANKING}"]')
    expect(ended).to_be_visible()
    ended.click(position={"x": 4, "y": 14})
    dialog = page.locator("dialog.session")
    expect(bar(page)).to_be_visible()
    expect(dialog.locator(".modal-facts .status")).to_have_text("Running")
    expect(dialog.get_by_text("The ranking is written.")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("/timeline$"))
    expect(bar(page)).to_have_count(0)


def test_a_parked_session_is_seen_to_wait(page: Page, deep: str) -> None:
    """While a session is parked, the timeline shows the wait, and its task waits in a replay."""
    asking = f"{deep}/epics/search/tasks/decay/attempts/1"

    def park(route: Route) -> None:
        news = route.fetch().json()
        asked = next((turn for turn in news["turns"] if turn["type"] == "approval_requested"), None)
        if asked:
            news["turns"].append(asked | {"type": "task_waiting", "parked": True, "sequence": news["last"]})
        route.fulfill(json=news)

    page.route("**/turns*", park)
    page.goto(f"/{deep}/timeline")
    wait = page.locator(".bar.is-wait")
    expect(wait).to_have_attribute("aria-label", re.compile("Decay as a setting, .*Waiting for you"))
    expect(wait).to_have_class(re.compile("is-live"))
    expect(wait).to_have_attribute("href", f"/{asking}")
    page.get_by_role("link", name="Board").click()
    page.get_by_role("button", name="Replay").click()
    bar(page).get_by_label("Time").press("End")
    expect(page.locator(".lane.group-waiting")).to_contain_text(
        re.compile("Decay as a setting.*Paused for your answer", re.DOTALL)
    )


def test_a_wait_ends_with_the_answer(page: Page) -> None:
    """A wait ends with the answer, the next attempt or the task's end; an answered task is pending."""
    page.goto("/")
    ends, states = page.evaluate(
        """async () => {
          const { createSpans } = (await import("heddle")).modules["timeline_spans.js"];
          const { pastOf } = (await import("heddle")).modules["past.js"];
          const of = (attempt) => ({ epic: "a", task: "t", attempt });
          const parked = (time, attempt) => [{ time, type: "task_started", ...of(attempt) }, { time: time + 1, type: "task_waiting", parked: true, ...of(attempt) }];
          const answered = [...parked(0, 1), { time: 5, type: "approval_resolved", ...of(1) }, ...parked(10, 2)];
          const waits = (last) => {
            const known = createSpans("r");
            [...answered, ...last].forEach(known.apply);
            return [...known.spans.values()].filter((span) => span.kind === "wait").map((span) => [span.from, span.to]);
          };
          const task = { name: "r/epics/a/tasks/t", epic: "r/epics/a", attempt: null };
          const now = { run: { value: { name: "r" } }, epics: new Map(), tasks: new Map([[task.name, task]]) };
          return [
            ["task_started", "task_failed", "task_skipped", "run_finished", "usage"].map((type) => waits([{ time: 20, type, ...of(2) }])),
            [1, 5, 10].map((time) => pastOf(now, answered, time).tasks[0].state),
          ];
        }"""
    )
    assert ends == [[[1, 5], [11, 20]]] * 4 + [[[1, 5], [11, None]]]
    assert states == ["waiting", "pending", "running"]


def test_a_providers_limit_is_a_wait_of_its_own(page: Page) -> None:
    """After an attempt fails on a limit, a wait with the limit's reason lasts until the next attempt starts."""
    page.goto("/")
    spans = page.evaluate(
        """async () => {
          const { createSpans } = (await import("heddle")).modules["timeline_spans.js"];
          const known = createSpans("r");
          const of = (attempt) => ({ epic: "a", task: "t", attempt });
          const limit = { until: 9, reason: "rate-limited until 14:05" };
          [
            { time: 0, type: "task_started", ...of(1) }, { time: 4, type: "task_failed", will_retry: true, ...of(1) },
            { time: 4, type: "task_waiting", ...limit, ...of(1) }, { time: 9, type: "task_started", ...of(2) },
          ].forEach(known.apply);
          return [...known.spans.values()].map((span) => [span.kind, span.from, span.to, span.reason ?? ""]);
        }"""
    )
    limit = ["wait", 4, 9, "rate-limited until 14:05"]
    assert spans == [["attempt", 0, 4, ""], limit, ["attempt", 9, None, ""]]


def test_the_past_of_a_run_is_read_from_its_turns(page: Page) -> None:
    """Attempts, questions, checks, costs and merges count from their time; a task before a retry is pending."""
    page.goto("/")
    states = page.evaluate(
        """async () => {
          const { pastOf } = (await import("heddle")).modules["past.js"];
          const epic = { name: "r/epics/a", depends_on: [] };
          const now = { run: { value: { name: "r" } }, epics: new Map([["r/epics/a", epic]]), tasks: new Map([["r/epics/a/tasks/t", { name: "r/epics/a/tasks/t", epic: "r/epics/a", attempt: null }]]) };
          const of = { epic: "a", task: "t", attempt: 1 };
          const turns = [
            { time: 1, type: "run_started" }, { time: 2, type: "task_started", ...of },
            { time: 3, type: "approval_requested", approval_id: "q", ...of }, { time: 4, type: "approval_resolved", approval_id: "q", ...of },
            { time: 5, type: "usage", cost_usd_micros: 7, ...of }, { time: 6, type: "task_failed", will_retry: true, ...of },
            { time: 7, type: "task_started", ...of, attempt: 2 }, { time: 8, type: "task_accepted", commit: "c", ...of, attempt: 2 },
            { time: 9, type: "merge_started", epic: "a" }, { time: 10, type: "merge_finished", epic: "a" }, { time: 11, type: "run_finished", outcome: "succeeded" },
          ];
          return [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((time) => {
            const { run, epics, tasks } = pastOf(now, turns, time);
            return [run.state, epics[0].state, tasks[0].state, tasks[0].attempts, run.usage.cost].join(" ");
          });
        }"""
    )
    assert states == [
        "pending ready pending 0 0",
        "running ready pending 0 0",
        "running running running 1 0",
        "running running waiting 1 0",
        "running running running 1 0",
        "running running running 1 7",
        "running running pending 1 7",
        "running running running 2 7",
        "running running accepted 2 7",
        "running merging accepted 2 7",
        "running succeeded accepted 2 7",
        "succeeded succeeded accepted 2 7",
    ]
