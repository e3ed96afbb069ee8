"""The form for a run has a field for each input of a plan with parameters."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.runs import Runs
from tests.e2e.test_new_run import write

REVIEW = """
name: Review of ${{ inputs.area }}
inputs:
  area: {description: The folder to review., required: true}
  effort: {type: choice, options: [medium, high], default: high}
  tries: {type: number, default: 1}
  strict: {type: boolean}
epics:
  - key: ${{ inputs.area }}
    tasks:
      - key: look
        prompt: Look at ${{ inputs.area }} with effort ${{ inputs.effort }}; strict is ${{ inputs.strict }}.
        retries: ${{ inputs.tries }}
        script: [{say: Hello}]
"""


def test_a_plan_with_inputs_starts_with_the_given_values(page: Page, runs: Runs) -> None:
    """Each has the field of its type with its default; an error is shown at its field; values survive a reload."""
    page.goto("/new")
    page.get_by_label("Repository").fill(str(runs.repository))
    write(page, REVIEW)
    fields = page.get_by_role("group", name="Inputs of the plan")
    area, tries = fields.get_by_label("area"), fields.get_by_label("tries")
    expect(fields.locator(".field-error")).to_have_text(["needs a value"])
    expect(area).to_have_attribute("aria-invalid", "true")
    expect(fields.get_by_text("The folder to review.")).to_be_visible()
    expect(page.get_by_role("button", name="Start run")).to_be_disabled()
    expect(fields.get_by_label("effort").locator("option")).to_have_text(["Default: high", "medium", "high"])
    area.fill("api")
    tries.fill("many")
    expect(fields.locator(".field-error")).to_have_text([re.compile("it must be a number")])
    tries.fill("2")
    fields.get_by_label("effort").select_option("medium")
    fields.get_by_label("strict").select_option("true")
    expect(page.get_by_text("1 epic, 1 task, no errors")).to_be_visible()
    page.reload()
    expect(page.get_by_text("1 epic, 1 task, no errors")).to_be_visible()
    expect(area).to_have_value("api")
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("button", name="Start run").click()
    page.wait_for_url(re.compile("/runs/review-of-api-"))
    name = page.url.split("/", 3)[3]
    given = {"area": "api", "effort": "medium", "tries": "2", "strict": "true"}
    assert runs.get(f"{name}/plan")["inputs"] == given
    (task,) = runs.get(f"{name}/epics/api/tasks")["tasks"]
    assert (task["prompt"], task["retries"]) == ("Look at api with effort medium; strict is true.", 2)
